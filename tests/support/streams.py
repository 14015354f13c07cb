"""Reads a stream of server-sent events, in the plain way: blocks of lines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from shared.events import KINDS
from tests.support.waiting import eventually


class Stream:
    """What came so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.blocks: list[str] = []
        self.ended = False

    async def read(self) -> None:
        rest = ""
        with suppress(aiohttp.ClientError):
            async for data in self.response.content.iter_any():
                *blocks, rest = (rest + data.decode()).split("\n\n")
                self.blocks += blocks
        self.ended = True

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of each; its lines ``event`` and ``id`` have to be of it."""
        return [_event(block) for block in self.blocks if "data:" in block]

    def of(self, message_id: str) -> list[str]:
        """What happened to a message, in its order: processes tell what they did apart from each other."""
        found = [event for event in self.events if event.get("message_id") == message_id]
        return [event["event"] for event in sorted(found, key=lambda event: (event["at"], KINDS.index(event["event"])))]

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]

    async def shows(self, *kinds: str, within_s: float = 10.0) -> None:
        """Waits until each of these came."""
        await eventually(lambda: set(kinds) <= set(self.kinds()), within_s=within_s, what=f"{kinds} in the stream")

    async def until(self, work: Callable[[], Awaitable[object]], *kinds: str) -> None:
        """Works ten times a second until all who tell of it know that somebody watches."""
        again_s = 0.0

        async def told() -> bool:
            nonlocal again_s
            if set(kinds) <= set(self.kinds()):
                return True
            if time.monotonic() >= again_s:
                again_s = time.monotonic() + 0.1
                await work()
            return False

        await eventually(told, what=f"{kinds} in the stream")


def _event(block: str) -> dict[str, Any]:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    assert set(fields) <= {"event", "id", "data", "retry"}, block
    event: dict[str, Any] = json.loads(fields["data"])
    assert event["event"] == fields["event"]
    assert ("id" in fields) is (event["event"] not in {"dropped", "outage", "resumed"})
    return event


@asynccontextmanager
async def opened(http: aiohttp.ClientSession, url: str, query: str = "", **options: Any) -> AsyncIterator[Stream]:
    """A stream that was begun, and is left in the end."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=30)
    async with http.get(f"{url}/events{query}", timeout=timeout, **options) as response:
        assert response.status == 200, await response.text()
        stream = Stream(response)
        reading = asyncio.create_task(stream.read())
        try:
            await eventually(lambda: stream.blocks, what="the stream begins")
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
