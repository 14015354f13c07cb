"""Connections that find their server: by its name, and behind sentinels and in a cluster by the slot that it holds.

A ``Located`` one looks when it connects, and leaves its server before its next use when it is no longer the right one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.store.address import Node
from shared.store.locate import Locator
from shared.store.names import Names
from shared.store.outage import outage_of
from shared.store.packed import Packed, PackedOverTLS

_DOUBTFUL = frozenset(
    {"readonly", "moved", "masterdown", "clusterdown", "loading", "unblocked", "noreplicas", "connection", "timeout", "tls"}
)
"""Kinds of refusal after which the node may not be the right one any more."""


class Named(Packed):
    """A connection to a server whose name is found first, in a bounded time."""

    def __init__(self, *, names: Names, **options: Any) -> None:
        super().__init__(**options)
        self._names = names

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            await self._names.found(self.host)
        await super()._connect()  # type: ignore[no-untyped-call] # the library leaves it untyped


class NamedOverTLS(Named, PackedOverTLS):
    """The same, encrypted."""


class Located(Named):
    """A connection to whichever node holds its slot when it connects."""

    def __init__(self, *, locator: Locator, slot: int, masters_only: bool, **options: Any) -> None:
        super().__init__(**options)
        self._locator, self._slot, self._masters_only = locator, slot, masters_only
        self._node: Node = ("", 0)

    async def connect(self) -> None:
        """Called by the pool before each use."""
        if self.is_connected and await self._locator.node(self._slot) != self._node:
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call] # the library leaves it untyped

    async def _connect(self) -> None:
        self._node = self.host, self.port = await self._locator.node(self._slot)
        try:
            await super()._connect()
        except (OSError, TimeoutError):
            self._locator.doubt(self._node)
            raise

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's signature
        await super().on_connect_check_health(check_health=check_health)
        if not self._masters_only:
            return
        await self.send_command("ROLE", check_health=False)
        role = (await self.read_response())[0]
        if role != b"master":
            self._locator.doubt(self._node)
            raise RedisConnectionError(f"{self._host_error()} is no master")

    async def disconnect(self, *_nowait: Any, **details: Any) -> None:
        """Without waiting for the other side. The pool closes a doubtful connection under the lock that whoever gives back
        another has to take; cancelled while it waits for that, the other would count as in use for ever."""
        await super().disconnect(**{**details, "nowait": True})

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except RedisError as error:
            outage = outage_of(error)
            if outage is not None and outage.kind in _DOUBTFUL:
                self._locator.doubt(self._node)
                self.mark_for_reconnect()  # type: ignore[no-untyped-call] # the library leaves it untyped
            raise


class LocatedOverTLS(Located, PackedOverTLS):
    """The same, encrypted."""
