"""How much lies where, per topic; which consumers a group knows; which topics are paused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    dues, streams = partition.keys.dues(topic), partition.keys.streams(topic)
    pipeline = partition.client.pipeline(transaction=False)
    for due in dues:
        pipeline.zcard(due)
    for stream in streams:
        pipeline.xlen(stream)
        pipeline.xpending(stream, GROUP)
    answers = await pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and ("NOGROUP" not in str(answer) or outage_of(answer)):
            raise answer
    lengths, pending = answers[len(dues) :: 2], answers[len(dues) + 1 :: 2]
    running = sum(one["pending"] for one in pending if not isinstance(one, Exception))
    return sum(answers[: len(dues)]), max(0, sum(lengths) - running), running


@dataclass(frozen=True, slots=True)
class TopicConsumer:
    """A worker that reads a topic."""

    name: str
    running: int
    """Deliveries that it holds."""
    idle_ms: int
    """Since it last asked for something; a living one asks every few seconds."""


@dataclass(frozen=True, slots=True)
class TopicView:
    """A topic as it is at one moment."""

    depth: TopicDepth
    paused: bool
    overdue: int
    """Due, and not dispatched yet."""
    limited: int
    """Of these, those that wait for a place of their flow key."""
    lateness_ms: int
    """Of the oldest that is due and not started; 0 where none is."""
    next_due_ms: int | None
    """When the next one is due."""
    consumers: tuple[TopicConsumer, ...]


async def view(store: Store, topic: str) -> TopicView | None:
    """``None`` for a topic that is not configured and holds nothing. Raises ``Outage``."""
    depth = next((one for one in await depths(store) if one.topic == topic), None)
    return None if depth is None else await view_of(store, depth)


async def view_of(store: Store, depth: TopicDepth) -> TopicView:
    """More of a topic of which the depth is known. Raises ``Outage``."""
    topic = depth.topic
    overdue, limited, latenesses, heads, is_paused = 0, 0, [0], list[int](), False
    consumers: dict[str, TopicConsumer] = {}
    with outages():
        for partition in store.partitions:
            client, keys, now_ms = partition.client, partition.keys, partition.clock.now_ms()
            is_paused = is_paused or bool(await client.sismember(keys.paused, topic))
            for due in keys.dues(topic):
                overdue += int(await client.zcount(due, "-inf", f"({now_ms + 1}"))
                heads += [int(score) for _, score in await client.zrange(due, 0, 0, withscores=True)]
            limited += int(await client.zcard(keys.parked(topic)))
            latenesses += [now_ms - due_ms for due_ms in await _oldest_ready(partition, topic)]
            for stream in keys.streams(topic):
                for row in await _consumers(partition, stream):
                    name = row["name"].decode()
                    before = consumers.get(name, TopicConsumer(name, 0, row["idle"]))
                    consumers[name] = TopicConsumer(name, before.running + row["pending"], min(before.idle_ms, row["idle"]))
            latenesses += [now_ms - head for head in heads]
    return TopicView(depth, is_paused, overdue, limited, max(latenesses), min(heads, default=None), tuple(consumers.values()))


async def _oldest_ready(partition: Partition, topic: str) -> list[int]:
    """Due times of the first entry of each stream that nobody holds, as far as it is among the first hundred."""
    found = []
    for stream in partition.keys.streams(topic):
        rows = await partition.client.xrange(stream, count=100)
        held = set[bytes]()
        if rows:
            try:
                pending = await partition.client.xpending_range(stream, GROUP, rows[0][0], rows[-1][0], 100)
            except ResponseError as error:
                if "NOGROUP" not in str(error) or outage_of(error):
                    raise
                pending = []
            held = {row["message_id"] for row in pending}
        found += [int(fields.get(b"due", 0)) for entry_id, fields in rows if entry_id not in held][:1]
    return found


async def _consumers(partition: Partition, stream: str) -> list[Any]:
    try:
        rows: list[Any] = await partition.client.xinfo_consumers(stream, GROUP)
    except ResponseError as error:
        if "no such key" not in str(error) and "NOGROUP" not in str(error):
            raise
        return []
    return rows


async def pause(store: Store, topic: str) -> None:
    """Nothing new of it is dispatched or read, as soon as all processes know. Raises ``Outage``; a repeat completes it."""
    with outages():
        for partition in store.partitions:
            await partition.client.sadd(partition.keys.paused, topic)


async def resume(store: Store, topic: str) -> None:
    """Raises ``Outage``; a repeat completes it."""
    with outages():
        for partition in store.partitions:
            await partition.client.srem(partition.keys.paused, topic)


async def paused(partition: Partition) -> frozenset[str]:
    """Topics of which nothing new is to be delivered. Raises ``Outage``."""
    with outages():
        return frozenset(topic.decode() for topic in await partition.client.smembers(partition.keys.paused))


async def idle_consumers(partition: Partition, topics: list[str], idle_ms: int) -> list[str]:
    """Consumers that have asked for nothing for that long in any stream. Raises ``Outage``."""
    shortest: dict[str, int] = {}
    with outages():
        for topic in topics:
            for stream in partition.keys.streams(topic):
                for row in await _consumers(partition, stream):
                    name = row["name"].decode()
                    shortest[name] = min(shortest.get(name, row["idle"]), row["idle"])
    return [name for name, idle in shortest.items() if idle >= idle_ms]
