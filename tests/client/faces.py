"""Both clients in one shape, so that a test is written once.

The one that waits runs in a thread, since the producer runs in the loop of the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from itertools import islice
from typing import Any

from client import AsyncClient, Client, Retry

FACES = ("sync", "async")
AT_ONCE = Retry(tries=4, within_s=60, initial_s=0, max_s=0)
"""As often as it takes here, without waiting."""


class Face:
    """One of the two clients."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self._client = client

    async def call(self, name: str, *args: Any, **options: Any) -> Any:
        """The answer of the call of that name."""
        method = getattr(self._client, name)
        if isinstance(self._client, Client):
            return await asyncio.to_thread(method, *args, **options)
        return await method(*args, **options)

    async def items(self, name: str, *args: Any, **options: Any) -> list[Any]:
        """All that the list of that name gives."""
        method = getattr(self._client, name)
        if isinstance(self._client, Client):
            return await asyncio.to_thread(lambda: list(method(*args, **options)))
        return [item async for item in method(*args, **options)]

    async def first(self, name: str, count: int, **options: Any) -> list[Any]:
        """So many of what the stream of that name gives."""
        stream = getattr(self._client, name)(**options)
        if isinstance(self._client, Client):
            with closing(stream):
                return await asyncio.to_thread(lambda: list(islice(stream, count)))
        async with aclosing(stream):
            found: list[Any] = []
            while len(found) < count:
                found.append(await anext(stream))
            return found


@asynccontextmanager
async def open_face(kind: str, url: str, **options: Any) -> AsyncIterator[Face]:
    """A client of that kind, closed afterwards."""
    options = {"retry": AT_ONCE, **options}
    if kind == "sync":
        with Client(url, **options) as client:
            yield Face(client)
    else:
        async with AsyncClient(url, **options) as client:
            yield Face(client)
