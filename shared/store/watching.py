"""Watching: the batches of events that processes publish."""

from __future__ import annotations

import msgspec

from shared.events import Batch
from shared.store.partition import Partition
from shared.store.subscription import Subscription

_decoder = msgspec.json.Decoder(Batch)


class Watching:
    """The events of the partitions of one server, from the first call on."""

    def __init__(self, partitions: list[Partition]) -> None:
        channels = [partition.keys.events_channel for partition in partitions]
        self._subscription = Subscription(partitions[0].listening, *channels)

    async def next(self) -> Batch | None:
        """``None`` after a silence. Raises ``Outage``; the next call subscribes anew."""
        told = await self._subscription.next()
        if told is None:
            return None
        try:
            return _decoder.decode(told)
        except msgspec.MsgspecError:  # a stranger's word on the channel is nothing, nor is one of a newer release
            return None

    async def close(self) -> None:
        await self._subscription.close()
