"""Limits on how many a second, one for all processes: counted in Redis, by its clock."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from shared.store.partition import Store
from shared.store.scripts import RATE, Argument


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    per_s: float
    burst: int


async def take(store: Store, limit: Limit, count: int, needed: int) -> int:
    """Counts ``count``, of which ``needed`` (at most the burst) must have room now; what is beyond is paid off by those to come.

    Returns 0, or the milliseconds until there is room; then nothing was counted. Raises ``Outage``.
    """
    partition = store.partitions[crc32(limit.name.encode()) % len(store.partitions)]
    arguments: list[Argument] = [f"{1000 / limit.per_s:.17g}", limit.burst, count, needed]
    return int(await RATE.run(partition.client, [partition.keys.rate(limit.name)], arguments))
