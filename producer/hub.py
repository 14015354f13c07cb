"""Gives every event to all who watch it here. Listens to Redis only while somebody does.

Both are bounded: how many watch, and how many events a second all of them are told: so no number of either takes the time that
requests need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from producer.event_schemas import event_text, sign_text
from producer.refusal import Refusal
from producer.watcher import Wanted, Watcher
from shared.errors import Outage
from shared.events import Batch
from shared.store.partition import Partition, Store
from shared.store.watching import Watching
from shared.waiting import OutageWatch

MOST = 100
"""Who may watch at once in a process."""
TURN_S = 0.1
MOST_A_TURN = 500
"""Events that are given on in a turn; what is beyond is left out, and counted."""
RETRY_AFTER_S = 5


class Hub:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._watchers: set[Watcher] = set()
        self._watched = asyncio.Event()
        self._ended = False
        self._turn_s = 0.0
        self._left = MOST_A_TURN

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until it is cancelled. Each server has its own: one that is out silences no other."""
        return [self._run(partitions) for partitions in self._store.by_server()]

    @contextmanager
    def watching(self, wanted: Wanted) -> Iterator[Watcher]:
        """Raises ``Refusal`` (503) where too many watch."""
        if len(self._watchers) >= MOST:
            detail = f"{MOST} streams of events are open in this process, which is the most"
            raise Refusal(503, detail, {"Retry-After": str(RETRY_AFTER_S)})
        watcher = Watcher(wanted, self._now_ms)
        if self._ended:
            watcher.end()
        self._watchers.add(watcher)
        self._watched.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    def end(self) -> None:
        """Ends every stream: the process stops."""
        self._ended = True
        for watcher in self._watchers:
            watcher.end()

    async def _run(self, partitions: list[Partition]) -> None:
        while True:
            await self._watched.wait()
            await self._listen(Watching(partitions))

    async def _listen(self, watching: Watching) -> None:
        """While somebody watches, and until a silence shows that nobody does."""
        watch = OutageWatch("events")
        try:
            while self._watchers:
                try:
                    batch = await watching.next()
                except Outage as outage:
                    if not watch.failures:
                        self._sign("outage", str(outage))
                    await asyncio.sleep(watch.failed(outage))
                    continue
                if watch.failures:
                    self._sign("resumed")
                watch.worked()
                if batch is not None:
                    self._tell(batch)
        finally:
            await watching.close()

    def _sign(self, sign: str, error: str = "") -> None:
        text = sign_text(sign, self._now_ms(), error=error)
        for watcher in self._watchers:
            watcher.put(text)

    def _tell(self, batch: Batch) -> None:
        room = self._room()
        told = batch.events[:room]
        self._left -= len(told)
        dropped = batch.dropped + len(batch.events) - len(told)
        for number, event in enumerate(told, batch.first):
            text = b""
            for watcher in self._watchers:
                if watcher.wanted.fits(event):
                    text = text or event_text(f"{batch.origin}-{number}", event)
                    watcher.put(text)
        if dropped:
            for watcher in self._watchers:
                watcher.missed(dropped)

    def _room(self) -> int:
        now_s = time.monotonic()
        if now_s - self._turn_s >= TURN_S:
            self._turn_s, self._left = now_s, MOST_A_TURN
        return self._left

    def _now_ms(self) -> int:
        return self._store.partitions[0].clock.now_ms()
