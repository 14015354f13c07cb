"""Where messages of each state lie, and how they are read from a position on: ZSETs by time, streams by entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from shared.errors import InvalidField
from shared.ids import parse_id
from shared.store.keys import GROUP
from shared.store.listing.filter import Filter, Order
from shared.store.listing.position import Position
from shared.store.messages import View, dead_view, finished_view, readable
from shared.store.outage import outage_of
from shared.store.partition import Partition, Store

_FINISHED = frozenset({"delivered", "expired", "cancelled"})


class Entry(NamedTuple):
    position: Position
    view: View
    size: int


Read = Callable[[Position | None, int], Awaitable[tuple[list[Entry], Position | None]]]
"""At most so many entries after a position, and the position up to which it has looked; ``None`` at the end."""
Load = Callable[[Sequence[tuple[bytes, float]]], Awaitable[list[Entry]]]


async def places_of(store: Store, wanted: Filter, order: Order) -> list[Read]:
    """Where messages of that state lie, also those of topics that left the settings."""
    reads: list[Read] = []
    for partition in store.partitions:
        keys = partition.keys
        topics = {wanted.topic} if wanted.topic is not None else await _topics(store, partition)
        if wanted.state in _FINISHED:
            reads.append(_zset(partition, keys.finished_expiry, _load_finished(partition), order))
        elif wanted.state == "dead":
            bounds = (wanted.died_from, wanted.died_until)
            reads.append(_zset(partition, keys.dead, _load_dead(partition), order, bounds))
        elif wanted.state in {"ready", "running"}:
            reads += [_stream(partition, topic, stream, order) for topic in topics for stream in keys.streams(topic)]
        else:
            bounds = (wanted.due_from, wanted.due_until)
            reads += [
                _zset(partition, due, _load_due(partition, topic), order, bounds) for topic in topics for due in keys.dues(topic)
            ]
    return reads


async def _topics(store: Store, partition: Partition) -> set[str]:
    known = await partition.client.smembers(partition.keys.topics)
    return {name.decode() for name in known} | set(store.settings.all_topics())


def _zset(partition: Partition, key: str, load: Load, order: Order, bounds: tuple[int | None, int | None] = (None, None)) -> Read:
    """Members by score, those of one score in the order of their ids. ``bounds``: whole milliseconds, both included."""
    first = "-inf" if bounds[0] is None else str(bounds[0])
    last = "+inf" if bounds[1] is None else f"({bounds[1] + 1}"

    async def read(after: Position | None, count: int) -> tuple[list[Entry], Position | None]:
        low = first if after is None or order == "newest" else f"{after.time:.17g}"
        high = last if after is None or order == "oldest" else f"{after.time:.17g}"
        offset = 0
        while True:
            client = partition.client
            if order == "newest":
                rows = await client.zrevrangebyscore(key, high, low, start=offset, num=count, withscores=True)
            else:
                rows = await client.zrangebyscore(key, low, high, start=offset, num=count, withscores=True)
            fresh = [row for row in rows if after is None or _position(row).follows(after, order)]
            if fresh or len(rows) < count:  # else all of them are of the cursor's own score and before it
                following = _position(rows[-1]) if len(rows) == count else None
                return await load(fresh), following
            offset += count

    return read


def _position(row: tuple[bytes, float]) -> Position:
    return Position(row[1], row[0].partition(b" ")[0].decode("utf-8", "replace"))


def _load_due(partition: Partition, topic: str) -> Load:
    async def load(rows: Sequence[tuple[bytes, float]]) -> list[Entry]:
        if not rows:
            return []
        positions = [_position(row) for row in rows]
        places = await partition.client.hmget(partition.keys.index, [position.tie for position in positions])
        found = []
        for (member, score), position, place in zip(rows, positions, places, strict=True):
            attempts = int(place.split()[2]) if place is not None and place.startswith(b"due ") else 0
            view = View(
                id=position.tie, topic=topic, status="retrying" if attempts else "scheduled", due_ms=int(score),
                attempts=attempts, stored=member, record=readable(member),
            )  # fmt: skip
            found.append(Entry(position, view, len(member)))
        return found

    return load


def _load_finished(partition: Partition) -> Load:
    async def load(rows: Sequence[tuple[bytes, float]]) -> list[Entry]:
        if not rows:
            return []
        kept = await partition.client.hmget(partition.keys.finished, [member for member, _ in rows])
        found = []
        for row, stored in zip(rows, kept, strict=True):
            position = _position(row)
            if stored is not None:
                view = finished_view(position.tie, topic_of(position.tie), stored)
                found.append(Entry(position, view, len(stored)))
        return found

    return load


def _load_dead(partition: Partition) -> Load:
    async def load(rows: Sequence[tuple[bytes, float]]) -> list[Entry]:
        if not rows:
            return []
        records = await partition.client.hmget(partition.keys.dead_records, [member for member, _ in rows])
        found = []
        for row, stored in zip(rows, records, strict=True):
            position = _position(row)
            if stored is not None:
                view = dead_view(position.tie, topic_of(position.tie), int(position.time), stored)
                found.append(Entry(position, view, len(stored)))
        return found

    return load


def topic_of(message_id: str) -> str:
    parsed = parse_id(message_id)
    return parsed.topic if parsed else ""


def _stream(partition: Partition, topic: str, stream: str, order: Order) -> Read:
    """What is due, in the order in which it was dispatched; what a worker holds is running."""
    place = f"{partition.number}/{stream.rsplit(':', 1)[1]}/{topic}"

    async def read(after: Position | None, count: int) -> tuple[list[Entry], Position | None]:
        low, high = "-", "+"
        if after is not None:
            own = _entry_id(after)
            bracket = "" if Position(after.time, _tie(own, place)).follows(after, order) else "("
            low, high = ("-", f"{bracket}{own}") if order == "newest" else (f"{bracket}{own}", "+")
        client = partition.client
        if order == "newest":
            rows = await client.xrevrange(stream, high, low, count=count)
        else:
            rows = await client.xrange(stream, low, high, count=count)
        if not rows:
            return [], None
        held = await _held(partition, stream, rows, order)
        found = [_stream_entry(topic, place, entry_id.decode(), fields, held) for entry_id, fields in rows]
        return found, found[-1].position if len(rows) == count else None

    return read


def _stream_entry(topic: str, place: str, entry_id: str, fields: dict[bytes, bytes], held: dict[str, tuple[str, int]]) -> Entry:
    stored = fields.get(b"message", b"")
    worker, deliveries = held.get(entry_id, ("", 0))
    view = View(
        id=stored.partition(b" ")[0].decode("utf-8", "replace"), topic=topic, status="running" if worker else "ready",
        due_ms=int(fields.get(b"due", 0)), attempts=int(fields.get(b"attempts", 0)) + max(0, deliveries - 2),
        stored=stored, record=readable(stored), worker=worker, dispatched_ms=int(entry_id.partition("-")[0]),
    )  # fmt: skip
    return Entry(Position(float(entry_id.partition("-")[0]), _tie(entry_id, place)), view, len(stored))


async def _held(partition: Partition, stream: str, rows: Any, order: Order) -> dict[str, tuple[str, int]]:
    """Who holds which of those entries, and how often it was delivered."""
    first, last = (rows[-1][0], rows[0][0]) if order == "newest" else (rows[0][0], rows[-1][0])
    try:
        pending = await partition.client.xpending_range(stream, GROUP, first, last, len(rows))
    except ResponseError as error:
        if "NOGROUP" not in str(error) or outage_of(error):
            raise
        return {}
    return {row["message_id"].decode(): (row["consumer"].decode(), row["times_delivered"]) for row in pending}


def _tie(entry_id: str, place: str) -> str:
    """Entries of one millisecond in several streams, by their number there."""
    return f"{int(entry_id.partition('-')[2]):020}/{place}"


def _entry_id(position: Position) -> str:
    number = position.tie.partition("/")[0]
    if not number.isascii() or not number.isdigit():
        raise InvalidField("cursor", "expected the next_cursor of an earlier page of the same state")
    return f"{int(position.time)}-{int(number)}"
