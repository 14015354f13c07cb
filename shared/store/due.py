"""The dispatcher's side: moving what is due, hearing of earlier arrivals, keeping stores within their caps."""

from __future__ import annotations

from typing import NamedTuple

from redis.asyncio.client import PubSub

from shared.errors import Outage
from shared.settings import RetentionSettings
from shared.store.keys import GROUP, parse_lane
from shared.store.outage import outages
from shared.store.partition import SILENCE_S, Partition
from shared.store.scripts import DISPATCH, TRIM


class Dispatched(NamedTuple):
    moved: int
    next_due_ms: int | None
    now_ms: int
    stream_full: bool


async def dispatch(partition: Partition, lane: str, limit: int, max_stream_length: int) -> Dispatched:
    """Moves at most ``limit`` due messages of a lane to its stream. Raises ``Outage``."""
    keys = partition.keys
    moved, next_due_ms, now_ms, full = await DISPATCH.run(
        partition.client, [keys.due(lane), keys.index, keys.stream(*parse_lane(lane))], [limit, max_stream_length, GROUP]
    )
    return Dispatched(moved, next_due_ms if next_due_ms >= 0 else None, now_ms, bool(full))


class WakeUps:
    """The subscription to a partition's wake-up channel. Nothing relies on a notification arriving."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._subscription: PubSub | None = None
        self._asked = False

    async def next(self) -> tuple[str, int] | None:
        """Lane and due time (ms) of a message that became its lane's earliest; ``None`` after a silence.

        Raises ``Outage``; the next call subscribes anew.
        """
        try:
            with outages():
                return await self._next()
        except Outage:
            await self.close()
            raise

    async def _next(self) -> tuple[str, int] | None:
        if self._subscription is None:
            self._subscription = self._partition.listening.pubsub()
            await self._subscription.subscribe(self._partition.keys.wake_channel)
            self._asked = False
        message = await self._subscription.get_message(timeout=SILENCE_S)
        if message is None:
            if self._asked:
                raise Outage("timeout", "the wake-up subscription gives no sign of life")
            self._asked = True
            await self._subscription.ping()
            return None
        self._asked = False
        if message["type"] != "message":
            return None
        lane, _, due = message["data"].decode(errors="replace").rpartition(" ")
        return (lane, int(due)) if due.isdecimal() else None  # a stranger's word on the channel is nothing

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()  # type: ignore[no-untyped-call] # the library leaves it untyped


class Trimmed(NamedTuple):
    finished: int
    aged_dead_letters: int
    dead_letters_over_cap: int


async def trim(partition: Partition, retention: RetentionSettings, limit: int) -> Trimmed:
    """Removes what is past its retention or over its cap, at most ``limit`` of each kind. Raises ``Outage``."""
    keys = partition.keys
    answer = await TRIM.run(
        partition.client,
        [keys.finished, keys.finished_expiry, keys.dead, keys.dead_records, keys.counts],
        [limit, retention.max_delivered, retention.dead_letters_ms, retention.max_dead_letters],
    )
    return Trimmed(*answer)
