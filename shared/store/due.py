"""The dispatcher's side: moving what is due, hearing of earlier arrivals, keeping stores within their caps."""

from __future__ import annotations

from typing import NamedTuple

from shared.settings import RetentionSettings
from shared.store.keys import GROUP, parse_lane
from shared.store.partition import Partition
from shared.store.scripts import DISPATCH, TRIM
from shared.store.subscription import Subscription
from shared.store.telling import tell


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
    if moved:
        tell(partition, "ready", parse_lane(lane)[0], count=moved)
    return Dispatched(moved, next_due_ms if next_due_ms >= 0 else None, now_ms, bool(full))


class WakeUps:
    """The subscription to a partition's wake-up channel. Nothing relies on a notification arriving."""

    def __init__(self, partition: Partition) -> None:
        self._subscription = Subscription(partition.listening, partition.keys.wake_channel)

    async def next(self) -> tuple[str, int] | None:
        """Lane and due time (ms) of a message that became its lane's earliest; ``None`` after a silence.

        Raises ``Outage``; the next call subscribes anew.
        """
        told = await self._subscription.next()
        lane, _, due = (told or b"").decode(errors="replace").rpartition(" ")
        return (lane, int(due)) if due.isdecimal() else None  # a stranger's word on the channel is nothing

    async def close(self) -> None:
        await self._subscription.close()


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
