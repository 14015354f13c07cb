"""Moves due messages, partition by partition and topic by topic, until nothing is due."""

from __future__ import annotations

import asyncio
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
        await asyncio.gather(*(self._drain(partition, done) for partition in self._partitions))
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
        batch = await due.dispatch(partition, topic, self._settings.batch_size, self._settings.max_stream_length)
        done.moved += batch.moved
        if batch.next_due_ms is None:
            return False
        if batch.stream_full:
            done.sooner(partition.clock.monotonic_s(batch.now_ms + FULL_STREAM_WAIT_MS))
            return False
        if batch.next_due_ms <= batch.now_ms:
            return True
        done.sooner(partition.clock.monotonic_s(batch.next_due_ms))
        return False
