"""Moves due messages, partition by partition and topic by topic, until nothing is due."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from shared.logs import logger
from shared.settings import DispatcherSettings
from shared.store import due
from shared.store.partition import Partition

FULL_STREAM_WAIT_MS = 20
"""How soon to look again at a topic whose stream is full: workers are draining it."""


@dataclass(slots=True)
class Pass:
    """What one pass did."""

    moved: int = 0
    next_due_s: float | None = None
    """Monotonic time at which the next message is due; ``None`` where none waits."""

    def sooner(self, candidate_s: float) -> None:
        if self.next_due_s is None or candidate_s < self.next_due_s:
            self.next_due_s = candidate_s


class Forwarder:
    """One topic at a time gets one bounded batch, so a herd in one holds nobody up; a topic with more comes round again."""

    def __init__(self, partitions: list[Partition], topics: list[str], settings: DispatcherSettings) -> None:
        self._partitions = partitions
        self._topics = topics
        self._settings = settings
        self.moved = 0
        """Messages moved since the start."""

    async def run_once(self) -> Pass:
        """Moves everything that is due. Raises ``Outage``."""
        done = Pass()
        results = await asyncio.gather(*(self._drain(partition, done) for partition in self._partitions), return_exceptions=True)
        for result in results:  # raised only when no partition is at work any more
            if isinstance(result, BaseException):
                raise result
        self.moved += done.moved
        if done.moved:
            logger.debug("dispatched {} messages", done.moved)
        return done

    async def _drain(self, partition: Partition, done: Pass) -> None:
        topics = self._topics
        while topics:
            topics = [topic for topic in topics if await self._move(partition, topic, done)]

    async def _move(self, partition: Partition, topic: str, done: Pass) -> bool:
        """Moves one batch; says whether the topic has more that is due and can be moved now."""
        asked_s = time.monotonic()
        batch = await due.dispatch(partition, topic, self._settings.batch_size, self._settings.max_stream_length)
        answered_s = time.monotonic()
        done.moved += batch.moved
        if batch.next_due_ms is None:
            return False
        if batch.stream_full and batch.next_due_ms <= batch.now_ms:
            done.sooner(answered_s + FULL_STREAM_WAIT_MS / 1000)
            return False
        if batch.next_due_ms <= batch.now_ms:
            return True
        # By the clock that was read last, but within what this very answer allows: the server's clock may have been stepped.
        wait_s = (batch.next_due_ms - batch.now_ms) / 1000
        at_s = partition.clock.monotonic_s(batch.next_due_ms)
        done.sooner(min(max(at_s, asked_s + wait_s - 0.001), answered_s + wait_s))
        return False
