"""One who watches: which events are wanted, and those that wait to be sent. Pure: knows no connection and no Redis."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from producer.event_schemas import sign_text
from shared.events import Event

ROOM = 1_000
"""Events that may wait for a slow reader. What comes then is left out, and counted."""
MOST_AT_ONCE = 100


class Wanted(Struct, frozen=True):
    """Where a set is empty it does not matter."""

    topics: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def fits(self, event: Event) -> bool:
        return (
            (not self.topics or event.topic in self.topics)
            and (not self.states or event.event in self.states)
            and (not self.labels or not self.labels.isdisjoint(event.labels))
        )


class Watcher:
    def __init__(self, wanted: Wanted, now_ms: Callable[[], int]) -> None:
        self.wanted = wanted
        self.ended = False
        self._now_ms = now_ms
        self._waiting = deque[bytes]()
        self._dropped = 0
        """Since the last of those that wait."""
        self._something = asyncio.Event()

    def put(self, text: bytes) -> None:
        if len(self._waiting) < ROOM:
            self._tell_dropped()
            self._waiting.append(text)
            self._something.set()
        else:
            self.missed(1)

    def missed(self, count: int) -> None:
        """So many events are left out, wanted or not."""
        self._dropped += count
        self._something.set()

    def end(self) -> None:
        self.ended = True
        self._something.set()

    async def next(self, within_s: float) -> bytes:
        """What to send next; empty where nothing came in that time, and at the end."""
        try:
            async with asyncio.timeout(within_s):
                await self._something.wait()
        except TimeoutError:
            return b""
        return self._take()

    def _tell_dropped(self) -> None:
        """Where they are missing."""
        if self._dropped:
            self._waiting.append(sign_text("dropped", self._now_ms(), count=self._dropped))
            self._dropped = 0

    def _take(self) -> bytes:
        if len(self._waiting) < MOST_AT_ONCE:
            self._tell_dropped()
        texts = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
        if not self._waiting and not self.ended:
            self._something.clear()
        return b"".join(texts)
