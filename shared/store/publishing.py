"""Publishes the events of a process while somebody watches, and keeps those that the log tells of, apart from all work: nobody
waits for it, and it may fail alone.

Whether somebody watches is what Redis knows itself: whether the channel has subscribers. So there is no key to keep and none
to forget, and the look is one command a second to each server. Where nobody watches, that is all.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from shared.errors import Outage
from shared.events import MOST_AT_ONCE, ROOM, Batch
from shared.store.log import FIELD
from shared.store.outage import outages
from shared.store.partition import Partition
from shared.waiting import OutageWatch

LOOK_S = 1.0
"""How soon a process knows that somebody watches, or nobody any more."""
EVERY_S = 0.1
"""How long events gather while somebody does, or where they are kept."""
MOST_BATCHES = ROOM // MOST_AT_ONCE

_encode = msgspec.json.Encoder().encode


class Publishing:
    """The events of the partitions of one server."""

    def __init__(self, partitions: list[Partition], most_kept: int = 0) -> None:
        """``most_kept``: events of the log of each partition, about."""
        self._partitions = {partition.keys.events_channel: partition for partition in partitions}
        self._client = partitions[0].client
        self._most_kept = most_kept
        self._looked_s = float("-inf")
        self._watch = OutageWatch("events")

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except Outage as outage:
                await asyncio.sleep(max(EVERY_S, self._watch.failed(outage)))
            else:
                self._watch.worked()
                await asyncio.sleep(EVERY_S if self._is_wanted or self._keeps else LOOK_S)

    @property
    def _is_wanted(self) -> bool:
        return any(partition.events.wanted for partition in self._partitions.values())

    @property
    def _keeps(self) -> bool:
        return any(partition.events.kept for partition in self._partitions.values())

    async def run_once(self) -> None:
        """Looks for those who watch, once a second; tells them what there is. Raises ``Outage``."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            await self.look()
        if self._is_wanted or self._keeps:
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
        for _ in range(MOST_BATCHES):
            taken = [(partition, batch) for partition in self._partitions.values() if (batch := partition.events.take())]
            if not taken:
                return
            await self._publish(taken)
            if all(len(batch.events) < MOST_AT_ONCE for _, batch in taken):
                return

    async def _publish(self, taken: list[tuple[Partition, Batch]]) -> None:
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
