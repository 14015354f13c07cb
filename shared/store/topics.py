"""How much lies where, per topic; and which consumers a group knows."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import ResponseError

from shared.store.keys import GROUP
from shared.store.outage import outage_of, outages
from shared.store.partition import Partition, Store


@dataclass(frozen=True, slots=True)
class TopicDepth:
    topic: str
    scheduled: int
    """Waiting in the due set, retries included."""
    ready: int
    """In the stream, held by nobody."""
    running: int
    """Held by a worker."""
    configured: bool
    """False for a topic that left the settings and still has messages."""


async def depths(store: Store) -> list[TopicDepth]:
    """Every topic ever used that is configured or not empty. Raises ``Outage``."""
    configured = set(store.settings.all_topics())
    totals: dict[str, list[int]] = {topic: [0, 0, 0] for topic in configured}
    with outages():
        for partition in store.partitions:
            known = await partition.client.smembers(partition.keys.topics)
            for topic in configured | {name.decode() for name in known}:
                total = totals.setdefault(topic, [0, 0, 0])
                for position, number in enumerate(await _depth(partition, topic)):
                    total[position] += number
    return [
        TopicDepth(topic, total[0], total[1], total[2], topic in configured)
        for topic, total in sorted(totals.items())
        if topic in configured or any(total)
    ]


async def _depth(partition: Partition, topic: str) -> tuple[int, int, int]:
    scheduled = int(await partition.client.zcard(partition.keys.due(topic)))
    length = running = 0
    for stream in partition.keys.streams(topic):
        length += int(await partition.client.xlen(stream))
        try:
            running += int((await partition.client.xpending(stream, GROUP))["pending"])
        except ResponseError as error:
            if "NOGROUP" not in str(error) or outage_of(error):
                raise
    return scheduled, max(0, length - running), running


async def idle_consumers(partition: Partition, topics: list[str], idle_ms: int) -> list[str]:
    """Consumers that have asked for nothing for that long in any stream. Raises ``Outage``."""
    shortest: dict[str, int] = {}
    with outages():
        for topic in topics:
            for stream in partition.keys.streams(topic):
                try:
                    rows = await partition.client.xinfo_consumers(stream, GROUP)
                except ResponseError as error:
                    if "no such key" not in str(error) and "NOGROUP" not in str(error):
                        raise
                    continue
                for row in rows:
                    name = row["name"].decode()
                    shortest[name] = min(shortest.get(name, row["idle"]), row["idle"])
    return [name for name, idle in shortest.items() if idle >= idle_ms]
