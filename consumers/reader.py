"""Reads new deliveries of one partition, never more than the worker can soon run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager

from shared.errors import Outage
from shared.store.delivery import Deliveries
from shared.store.entries import Entry, Lease
from shared.waiting import OutageWatch

WAIT_MS = 1_000
"""Longest wait for a message while every topic has room."""
SHORT_WAIT_MS = 20
"""The same while some topic has none: room may appear meanwhile."""
SOON_S = 0.005
"""The same while a topic whose handlers are fast has none: in Redis a short wait can last as long as its timer's period."""


class Reader:
    def __init__(
        self,
        deliveries: Deliveries,
        plan: Callable[[], dict[str, int]],
        reserved: Callable[[dict[str, int]], AbstractContextManager[None]],
        receive: Callable[[Sequence[Entry]], None],
        recover: Callable[[], Awaitable[None]],
        has_room: Callable[[str], bool],
        has_room_soon: Callable[[dict[str, int]], bool],
    ) -> None:
        """What it needs of its worker.

        ``plan``: how many of each topic to ask for. ``reserved``: keeps that room while it is asked for. ``receive``: takes
        what was read. ``recover``: called after an answer may have been lost, to give back what Redis thinks is held here
        and is not. ``has_room``: whether one more of a topic can soon run. ``has_room_soon``: whether a topic that a plan
        leaves out will be asked for in a moment.
        """
        self._deliveries = deliveries
        self._plan, self._reserved, self._receive, self._recover = plan, reserved, receive, recover
        self._has_room, self._has_room_soon = has_room, has_room_soon
        self.room = asyncio.Event()
        """Set whenever a slot may have become free."""
        self.answer_lost = False
        """Whether an answer that brought deliveries may have been lost: what is pending is looked at before the next read."""
        self.needs_no_answer = False
        """While there is no room, nothing is asked."""
        self.answered_s = time.monotonic()
        """When Redis last answered a read; while none is needed, anything."""
        self.watch = OutageWatch("read")

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except Outage as outage:
                self.answer_lost = True
                await asyncio.sleep(self.watch.failed(outage))

    async def run_once(self) -> int:
        """Reads what there is room for; waits where there is nothing. Returns how many. Raises ``Outage``."""
        if self.answer_lost:
            await self._recover()
            self.answer_lost = False
        self.room.clear()
        plan = self._plan()
        if not plan:
            await self._wait_for_room(WAIT_MS / 1000)
            return 0
        with self._reserved(plan):
            entries = await self._deliveries.read(plan)
        full = len(plan) < len(self._deliveries.topics)
        if not entries and full and self._has_room_soon(plan):
            self._answered()
            await self._wait_for_room(SOON_S)
            return 0
        if not entries:
            entries = await self._wait(list(plan), SHORT_WAIT_MS if full else WAIT_MS)
        self._answered()
        if entries:
            self._receive(entries)
        return len(entries)

    def _answered(self) -> None:
        self.answered_s = time.monotonic()
        self.watch.worked()

    async def _wait(self, topics: list[str], wait_ms: int) -> list[Entry]:
        """No room is kept meanwhile: all partitions wait for the same. Where another was served first, it is given back."""
        entries = await self._deliveries.wait(topics, wait_ms)
        if all(self._has_room(entry.topic) for entry in entries):
            return entries
        await self._deliveries.hand_back([Lease(entry.stream, entry.entry_id, entry.deliveries) for entry in entries])
        return []

    async def _wait_for_room(self, longest_s: float) -> None:
        self.needs_no_answer = True
        try:
            await asyncio.wait_for(self.room.wait(), longest_s)
        except TimeoutError:
            return
        finally:
            self.needs_no_answer = False
