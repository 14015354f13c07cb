"""Dead letters: list, replay."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msgspec import structs

from shared.errors import InvalidField, NotFound, TooLate
from shared.ids import parse_id
from shared.settings import Durability
from shared.store import messages
from shared.store.messages import View
from shared.store.outage import outages
from shared.store.partition import Store
from shared.store.scripts import REPLAY


@dataclass(frozen=True, slots=True)
class Page:
    letters: list[View]
    """Newest first."""
    next_cursor: str | None
    total: int


_CURSOR = re.compile(r"(?P<partition>[0-9]{1,4})\.(?P<died_ms>[0-9]{1,15})\.(?P<id>.+)", re.DOTALL)
_Found = tuple[str, int, View | None]
"""Id, time of death (ms), and the letter: ``None`` where somebody deleted its record."""


async def list_dead_letters(store: Store, limit: int, cursor: str | None, topic: str | None) -> Page:
    """One page, newest first. ``cursor`` is that of the page before.

    A page looks at no more than ``limit`` letters, so with ``topic`` it may come short. Raises ``Outage``, ``InvalidField``
    for a cursor that is none.
    """
    number, before_ms, last_id = _parse_cursor(cursor, len(store.partitions))
    total = 0
    with outages():
        for partition in store.partitions:
            total += int(await partition.client.zcard(partition.keys.dead))
    looked = list[tuple[int, _Found]]()
    while number < len(store.partitions) and len(looked) <= limit:  # one more than the page holds: whether another follows
        batch = await _batch(store, number, before_ms, last_id, limit + 1 - len(looked))
        looked += ((number, letter) for letter in batch)
        if batch:
            last_id, before_ms, _ = batch[-1]
        else:
            number, before_ms, last_id = number + 1, None, ""
    views = [view for _, (_, _, view) in looked[:limit] if view is not None and topic in (None, view.topic)]
    return Page(views, _cursor(*looked[limit - 1]) if len(looked) > limit else None, total)


def _cursor(number: int, letter: _Found) -> str:
    message_id, died_ms, _ = letter
    return f"{number}.{died_ms}.{message_id}"


def _parse_cursor(cursor: str | None, partitions: int) -> tuple[int, int | None, str]:
    if cursor is None:
        return 0, None, ""
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found["partition"]) >= partitions:
        raise InvalidField("cursor", "expected the next_cursor of an earlier page")
    return int(found["partition"]), int(found["died_ms"]), found["id"]


async def _batch(store: Store, number: int, before_ms: int | None, last_id: str, limit: int) -> list[_Found]:
    """The letters after (older than) that one. Members of one millisecond are in the order of their ids, backwards."""
    partition = store.partitions[number]
    start = "+inf" if before_ms is None else str(before_ms)
    with outages():
        skip = 0
        if before_ms is not None and last_id:
            same = await partition.client.zrangebyscore(partition.keys.dead, before_ms, before_ms, start=0, num=10_000)
            skip = sum(1 for member in same if member >= last_id.encode())
        found = await partition.client.zrevrangebyscore(
            partition.keys.dead, start, "-inf", start=skip, num=limit, withscores=True
        )
        if not found:
            return []
        records = await partition.client.hmget(partition.keys.dead_records, [member for member, _ in found])
    return [
        (member.decode(), int(score), _view(member.decode(), int(score), stored) if stored is not None else None)
        for (member, score), stored in zip(found, records, strict=True)
    ]


def _view(message_id: str, died_ms: int, stored: bytes) -> View:
    return messages.dead_view(message_id, topic_of(message_id), died_ms, stored)


def topic_of(message_id: str) -> str:
    parsed = parse_id(message_id)
    return parsed.topic if parsed else ""


async def replay(store: Store, message_id: str, due_ms: int = 0, asked: Durability = "memory") -> View:
    """Schedules a dead letter again, at once or at ``due_ms``, with no attempt spent.

    Raises ``NotFound``, ``TooLate`` (it is no dead letter), ``NotSafe``, ``Outage``.
    """
    parsed = parse_id(message_id)
    if parsed is None or parsed.partition >= len(store.partitions):
        raise NotFound(message_id)
    partition = store.partitions[parsed.partition]
    keys = partition.keys
    answer, reached = await partition.run(
        REPLAY,
        [keys.dead, keys.dead_records, keys.due(parsed.topic), keys.index],
        [message_id, keys.wake_channel, due_ms],
        asked,
    )
    if answer[0] != b"replayed":
        view = await messages.get(store, message_id)
        raise TooLate(message_id, view.status if answer[0] == b"absent" else "a dead letter without a record", "replay")
    return structs.replace(await messages.get(store, message_id), durability=reached)
