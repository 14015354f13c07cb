"""Dead letters: list, replay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import NamedTuple

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
PAGE_BYTES = 4 * 2**20
"""Of letters in one page: bodies may be a mebibyte each, and a page is held in memory."""


class _Letter(NamedTuple):
    partition: int
    died_ms: int
    id: bytes


async def list_dead_letters(store: Store, limit: int, cursor: str | None, topic: str | None) -> Page:
    """One page, newest first. ``cursor`` is that of the page before.

    A page looks at no more than ``limit`` letters, and at fewer where they are large, so it may come short. Raises
    ``Outage``, ``InvalidField`` for a cursor that is none.
    """
    number, before_ms, last_id = _parse_cursor(cursor, len(store.partitions))
    total, found = 0, list[_Letter]()
    with outages():
        for partition in store.partitions:
            total += int(await partition.client.zcard(partition.keys.dead))
        while number < len(store.partitions) and len(found) <= limit:  # one more than the page holds: whether another follows
            batch = await _batch(store, number, before_ms, last_id, limit + 1 - len(found))
            found += batch
            if batch:
                _, before_ms, last_id = batch[-1]
            else:
                number, before_ms, last_id = number + 1, None, b""
        looked = await _that_fit(store, found[:limit])
        views = await _views(store, looked)
    views = [view for view in views if topic in (None, view.topic)]
    return Page(views, _cursor(looked[-1]) if len(looked) < len(found) else None, total)


def _cursor(letter: _Letter) -> str:
    return f"{letter.partition}.{letter.died_ms}.{letter.id.decode()}"


def _parse_cursor(cursor: str | None, partitions: int) -> tuple[int, int | None, bytes]:
    if cursor is None:
        return 0, None, b""
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found["partition"]) >= partitions:
        raise InvalidField("cursor", "expected the next_cursor of an earlier page")
    return int(found["partition"]), int(found["died_ms"]), found["id"].encode()


async def _batch(store: Store, number: int, before_ms: int | None, last_id: bytes, limit: int) -> list[_Letter]:
    """The letters after (older than) that one. Members of one millisecond are in the order of their ids, backwards."""
    partition, skip = store.partitions[number], 0
    start = "+inf" if before_ms is None else str(before_ms)
    if before_ms is not None and last_id:
        same = await partition.client.zrangebyscore(partition.keys.dead, before_ms, before_ms, start=0, num=10_000)
        skip = sum(1 for member in same if member >= last_id)
    rows = await partition.client.zrevrangebyscore(partition.keys.dead, start, "-inf", start=skip, num=limit, withscores=True)
    return [_Letter(number, int(score), member) for member, score in rows]


async def _that_fit(store: Store, letters: list[_Letter]) -> list[_Letter]:
    """The first of them that are no more than ``PAGE_BYTES`` together; at least one."""
    sizes = list[int]()
    for number, group in groupby(letters, key=lambda letter: letter.partition):
        partition = store.partitions[number]
        pipeline = partition.client.pipeline(transaction=False)
        for letter in group:
            pipeline.hstrlen(partition.keys.dead_records, letter.id)
        sizes += await pipeline.execute()
    fit = sum(1 for size in accumulate(sizes) if size <= PAGE_BYTES)
    return letters[: max(1, fit)]


async def _views(store: Store, letters: list[_Letter]) -> list[View]:
    """Those of them whose record nobody has deleted."""
    views = list[View]()
    for number, group in groupby(letters, key=lambda letter: letter.partition):
        partition, together = store.partitions[number], list(group)
        records = await partition.client.hmget(partition.keys.dead_records, [letter.id for letter in together])
        for letter, stored in zip(together, records, strict=True):
            if stored is not None:
                message_id = letter.id.decode()
                views.append(messages.dead_view(message_id, topic_of(message_id), letter.died_ms, stored))
    return views


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
        b"replayed",
    )
    if answer[0] != b"replayed":
        view = await messages.get(store, message_id)
        raise TooLate(message_id, view.status if answer[0] == b"absent" else "a dead letter without a record", "replay")
    return structs.replace(await messages.get(store, message_id), durability=reached)
