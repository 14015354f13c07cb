"""Publishes the events of a process while somebody watches, and writes those that are kept to the log, apart from all work:
nobody waits for it, and it may fail alone.

Whether somebody watches is what Redis knows itself: whether the channel has subscribers. So there is no key to keep and none
to forget, and the look is one command a second to each server. Where nobody watches and nothing is kept, that is all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from shared.errors import Outage
from shared.events import MOST_AT_ONCE, ROOM, Batch
from shared.logs import logger
from shared.store.log import FIELD
from shared.store.outage import outages
from shared.store.partition import Partition
from shared.waiting import OutageWatch

LOOK_S = 1.0
"""How soon a process knows that somebody watches, or nobody any more."""
EVERY_S = 0.1
"""How long events gather while somebody does, or where they are kept."""
LAST_S = 0.5
"""How long a process that stops tries to tell its last ones."""
MOST_BATCHES = ROOM // MOST_AT_ONCE
MOST_IN_A_TRIP = 1_000
"""Events that go to Redis together, about."""
SAID_S = 60.0
"""How often it is logged that the log misses something."""

_encode = msgspec.json.Encoder().encode
Taken = list[tuple[Partition, Batch]]


class Publishing:
    """The events of the partitions of one server."""

    def __init__(self, partitions: list[Partition], most_kept: int = 0) -> None:
        """``most_kept``: events of the log of each partition, about."""
        self._partitions = {partition.keys.events_channel: partition for partition in partitions}
        self._client = partitions[0].client
        self._most_kept = most_kept
        self._looked_s = float("-inf")
        self._watch = OutageWatch("events")
        self._under_way: asyncio.Task[None] | None = None
        self._finishing = False
        self._missing = 0
        self._said_s = float("-inf")

    async def run(self) -> None:
        """Until it is cancelled. ``finish`` tells the rest."""
        while True:
            try:
                await self.run_once()
            except Outage as outage:
                await asyncio.sleep(max(EVERY_S, self._watch.failed(outage)))
            else:
                self._watch.worked()
                await asyncio.sleep(EVERY_S if self._tells else LOOK_S)

    @property
    def _tells(self) -> bool:
        return any(partition.events.wanted or partition.events.kept for partition in self._partitions.values())

    async def run_once(self) -> None:
        """Looks for those who watch, once a second; tells them what there is. Raises ``Outage``."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            await self.look()
        if self._tells and not self._finishing:
            # What is cancelled meanwhile goes on: cut off, nobody would know whether it was told.
            self._under_way = asyncio.create_task(self.publish())
            await asyncio.shield(self._under_way)

    async def finish(self, within_s: float = LAST_S) -> None:
        """The last events of a process that stops. What an outage keeps back is lost: nobody waits for it."""
        self._finishing = True
        with suppress(Outage, TimeoutError):
            async with asyncio.timeout(within_s):
                if self._under_way is not None and not self._under_way.done():
                    await self._under_way
                await self.publish()

    async def look(self) -> None:
        """Raises ``Outage``."""
        with outages():
            answer = await self._client.execute_command("PUBSUB NUMSUB", *self._partitions)
        for channel, watching in answer:
            self._partitions[channel.decode()].events.want(wanted=watching > 0)
        self._looked_s = time.monotonic()

    async def publish(self) -> None:
        """All that waits, a batch of each partition at a time. Raises ``Outage``."""
        partitions = list(self._partitions.values())
        for _ in range(MOST_BATCHES):
            full = list[Partition]()
            for taken in _trips(partitions):
                await self._publish(taken)
                full += [partition for partition, batch in taken if len(batch.events) == MOST_AT_ONCE]
            if not full:  # what came meanwhile gathers until the next time
                return
            partitions = full

    async def _publish(self, taken: Taken) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for partition, batch in taken:
            if partition.events.wanted:
                pipeline.execute_command("PUBLISH", partition.keys.events_channel, _encode(batch))
            for event in batch.events:
                if event.message_id and event.topic in partition.events.kept:
                    pipeline.execute_command(
                        "XADD", partition.keys.log, "MAXLEN", "~", self._most_kept, "*", FIELD, _encode(event)
                    )
        try:
            with outages():
                await pipeline.execute()
        except Outage:
            for partition, batch in taken:
                partition.events.lost(batch)
            raise
        self._say(sum(batch.dropped for partition, batch in taken if partition.events.kept))

    def _say(self, dropped: int) -> None:
        """Who watches is told by the batch itself; the log cannot tell."""
        self._missing += dropped
        now_s = time.monotonic()
        if self._missing and now_s - self._said_s >= SAID_S:
            logger.warning("the log misses something: {} events found no room, or were lost in an outage", self._missing)
            self._missing, self._said_s = 0, now_s


def _trips(partitions: list[Partition]) -> Iterator[Taken]:
    """The next batch of each partition, in parts of a bounded size."""
    taken, events = Taken(), 0
    for partition in partitions:
        batch = partition.events.take()
        if batch is not None:
            taken.append((partition, batch))
            events += len(batch.events)
        if events >= MOST_IN_A_TRIP:
            yield taken
            taken, events = [], 0
    if taken:
        yield taken
