"""How many messages a second are accepted and delivered, over all processes: counted in memory, added up in Redis.

Whoever stores or settles counts in ``Partition.counted``, which costs no command. Every second or two each process adds what it
has counted to the sums of the ten seconds that it is by Redis's clock, where it has counted anything. An outage loses or delays
counts, never more, and nobody waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import NamedTuple

from shared.errors import Outage
from shared.store.outage import outages
from shared.store.partition import COUNTED, Partition, Store
from shared.store.scripts import TALLY, Argument
from shared.waiting import OutageWatch

TENS_MS = 10_000
"""The sums of so long lie in one key."""
TENS = 6
"""Rates are those of the last so many that are over."""
KEPT_MS = 120_000
LAST_TRY_S = 0.5
"""How long a process that ends waits for its last counts to be written."""


class _Write(NamedTuple):
    key: str
    number: int
    arguments: list[Argument]


class Tally:
    """What one process counts in one partition, on its way to Redis."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._process = token_hex(6)
        self._number = 0
        self._unsure: _Write | None = None
        """A write without an answer: it is sent again as it was, so that it counts once."""
        self._watch = OutageWatch("tallies")

    async def flush(self) -> None:
        """Writes what was counted since the last time. In an outage it is kept for the next one."""
        try:
            await self._write()
        except Outage as outage:
            self._watch.failed(outage)
        else:
            self._watch.worked()

    async def _write(self) -> None:
        write = self._next()
        if write is None:
            return
        await TALLY.run(self._partition.client, [write.key], [self._process, write.number, KEPT_MS, *write.arguments])
        if self._unsure is write:
            self._unsure = None

    def _next(self) -> _Write | None:
        counted = self._partition.counted
        if self._unsure is None and counted:
            self._number += 1
            key = self._partition.keys.tally(self._partition.clock.now_ms() // TENS_MS)
            arguments: list[Argument] = [
                part for (topic, what), number in counted.items() for part in (f"{topic} {what}", number)
            ]
            self._unsure = _Write(key, self._number, arguments)
            counted.clear()
        return self._unsure


class Tallies:
    """Those of all partitions."""

    def __init__(self, store: Store) -> None:
        self._tallies = [Tally(partition) for partition in store.partitions]

    async def flush(self) -> None:
        await asyncio.gather(*(tally.flush() for tally in self._tallies))

    async def flush_last(self) -> None:
        """When the process ends, which does not wait long for it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), LAST_TRY_S)


class Rates(NamedTuple):
    """Messages of a topic, a second."""

    accepted_per_s: float
    delivered_per_s: float
    failed_per_s: float


async def rates(store: Store, topics: Sequence[str]) -> Mapping[str, Rates]:
    """Of each topic, over the last minute of whole tens of seconds. Raises ``Outage``."""
    fields = [f"{topic} {what}" for topic in topics for what in COUNTED]
    sums = [0] * len(fields)
    with outages():
        for partition in store.partitions:
            now = partition.clock.now_ms() // TENS_MS
            pipeline = partition.client.pipeline(transaction=False)
            for tens in range(now - TENS, now):
                pipeline.hmget(partition.keys.tally(tens), fields)
            for found in await pipeline.execute():
                sums = [total + int(number or 0) for total, number in zip(sums, found, strict=True)]
    per_s, each = [round(total * 1000 / (TENS * TENS_MS), 3) for total in sums], len(COUNTED)
    return {topic: Rates(*per_s[number * each : (number + 1) * each]) for number, topic in enumerate(topics)}
