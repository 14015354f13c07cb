"""Reads new deliveries of one partition, never more than the worker can soon run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager

from shared.errors import Outage
from shared.store.delivery import Deliveries
from shared.store.entries import Entry, Lease
from shared.store.keys import LEVELS
from shared.waiting import OutageWatch

WAIT_MS = 1_000
"""Longest wait for a message while every topic has room."""
SHORT_WAIT_MS = 20
"""The same while some topic has none: room may appear meanwhile."""
SOON_S = 0.005
"""The same while a topic whose handlers are fast has none: in Redis a short wait can last as long as its timer's period."""
LET_GO_S = 1e-6
"""Of sleep, which lasts some 60 microseconds: as long as a thread takes to wake up."""


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
        sharing: int = 1,
    ) -> None:
        """What it needs of its worker.

        ``plan``: how many of each topic to ask for. ``reserved``: keeps that room while it is asked for. ``receive``: takes
        what was read. ``recover``: called after an answer may have been lost, to give back what Redis thinks is held here
        and is not. ``has_room``: whether one more of a topic can soon run. ``has_room_soon``: whether a topic that a plan
        leaves out will be asked for in a moment. ``sharing``: how many readers wait for the same room.
        """
        self._deliveries = deliveries
        self._plan, self._reserved, self._receive, self._recover = plan, reserved, receive, recover
        self._has_room, self._has_room_soon = has_room, has_room_soon
        self._sharing = sharing
        self._more = True
        """Whether there may be more than the last answer brought: that is read as planned before anything is waited for."""
        self.room = asyncio.Event()
        """Set whenever there may be room: a slot became free, or what was kept for others was given back."""
        self.freed = asyncio.Event()
        """Set whenever a delivery left its slot, or was settled."""
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
        self.freed.clear()
        plan = self._plan()
        if not plan:
            await self._wait_for(self.room, WAIT_MS / 1000)
            return 0
        full = len(plan) < len(self._deliveries.topics)
        soon = full and self._has_room_soon(plan)
        entries: list[Entry] = []
        if self._more or soon or self._deliveries.contended(plan):
            with self._reserved(plan):
                entries = await self._deliveries.read(plan)
                self._more = bool(entries)
                if len(entries) > min(plan.values()):
                    entries = await self._within(plan, entries)
        if not entries and soon:
            self._answered()
            await self._wait_for(self.freed, SOON_S)
            return 0
        if not entries:
            return await self._wait(plan, SHORT_WAIT_MS if full else WAIT_MS)
        self._answered()
        self._receive(entries)
        return len(entries)

    async def _within(self, plan: dict[str, int], entries: list[Entry]) -> list[Entry]:
        """Those for which there is room. What is over, since a level was thought to be empty, is given back."""
        left, kept, surplus = dict(plan), list[Entry](), list[Lease]()
        for entry in entries:
            if left[entry.topic] > 0:
                left[entry.topic] -= 1
                kept.append(entry)
            else:
                surplus.append(Lease(entry.stream, entry.entry_id, entry.deliveries))
        if surplus:
            await self._deliveries.hand_back(surplus)
        return kept

    def _answered(self) -> None:
        self.answered_s = time.monotonic()
        self.watch.worked()

    async def _wait(self, plan: dict[str, int], wait_ms: int) -> int:
        """No room is kept meanwhile: all partitions wait for the same. What another has taken is given back."""
        count = max(1, min(plan.values()) // (self._sharing * len(LEVELS)))
        entries = await self._deliveries.wait(list(plan), count, wait_ms)
        self._answered()
        self._more = len(entries) >= count
        surplus = list[Lease]()
        for entry in entries:
            if self._has_room(entry.topic):
                self._receive([entry])  # at once: its room is given to nobody else
            else:
                surplus.append(Lease(entry.stream, entry.entry_id, entry.deliveries))
        if surplus:
            await self._deliveries.hand_back(surplus)
        elif entries:
            _let_go()
        return len(entries) - len(surplus)

    async def _wait_for(self, event: asyncio.Event, longest_s: float) -> None:
        self.needs_no_answer = True
        try:
            await asyncio.wait_for(event.wait(), longest_s)
        except TimeoutError:
            return
        finally:
            self.needs_no_answer = False


def _let_go() -> None:
    """Lets the thread that was woken for what came have the interpreter now: else it waits until this one sends something."""
    time.sleep(LET_GO_S)
