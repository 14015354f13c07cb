"""QStash's client for Python in both its forms, in one shape, so that a test is written once."""

from __future__ import annotations

import inspect
from typing import Any

from qstash import AsyncQStash, QStash
from qstash.log import LogState

from tests.qstash.whole import Served
from tests.support.waiting import eventually


class Python:
    """QStash's client in either form: ``await`` takes the answer of both."""

    def __init__(self, kind: str, served: Served) -> None:
        make: Any = QStash if kind == "sync" else AsyncQStash
        self.client = make(served.token, base_url=served.url, retry=False)

    def __getattr__(self, api: str) -> Any:
        return _Api(getattr(self.client, api))

    async def dead(self, count: int) -> list[Any]:
        """The DLQ, once it holds so many."""

        async def letters() -> list[Any]:
            found: list[Any] = (await self.dlq.list()).messages
            return found if len(found) >= count else []

        told: list[Any] = await eventually(letters, within_s=15, what=f"{count} in the DLQ")
        return told

    async def logged(self, message_id: str, state: LogState) -> list[Any]:
        """All entries of the log of a message, once that state is among them. Its processes tell of it one after the other."""

        async def entries() -> list[Any]:
            found: list[Any] = (await self.log.list(filter={"message_id": message_id})).logs
            return found if {state, LogState.CREATED} <= {one.state for one in found} else []

        told: list[Any] = await eventually(entries, within_s=15, what=f"{message_id} is {state}")
        return told

    async def close(self) -> None:
        """The client has no call for it."""
        http = self.client.http._client
        if isinstance(self.client, QStash):
            http.close()
        else:
            await http.aclose()


class _Api:
    """One of its parts. A call of the form that blocks is over when it is awaited."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            told = getattr(self._api, name)(*args, **options)
            return await told if inspect.isawaitable(told) else told

        return call
