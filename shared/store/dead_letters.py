"""Dead letters: replay, delete. ``shared.store.listing`` lists them."""

from __future__ import annotations

from msgspec import Struct, structs

from shared.errors import NotFound, TooLate
from shared.ids import parse_id
from shared.record import Priority, Record, RetryOptions, encode_record
from shared.settings import Durability
from shared.store import messages
from shared.store.keys import lanes, parse_lane
from shared.store.messages import CHANGE_TRIES, View
from shared.store.outage import outages
from shared.store.partition import Partition, Store
from shared.store.scripts import DELETE_DEAD, REPLAY
from shared.store.telling import tell


async def count(store: Store) -> int:
    """How many there are, of all topics. Raises ``Outage``."""
    with outages():
        return sum([int(await partition.client.zcard(partition.keys.dead)) for partition in store.partitions])


async def get(store: Store, message_id: str) -> View:
    """Raises ``NotFound`` where it is no dead letter, ``Outage``."""
    view = await messages.get(store, message_id)
    if view.status != "dead":
        raise NotFound(message_id, "dead letter")
    return view


class Change(Struct, frozen=True):
    """What of a dead letter is to be another; the rest stays."""

    body: Record | None = None
    """Its kind, bytes and content type."""
    retry: RetryOptions | None = None
    deadline_ms: int | None = None
    priority: Priority | None = None


NO_CHANGE = Change()


async def replay(
    store: Store, message_id: str, due_ms: int = 0, asked: Durability = "memory", change: Change = NO_CHANGE
) -> View:
    """Schedules a dead letter again, at once or at ``due_ms``, with no attempt spent.

    Raises ``NotFound``, ``TooLate`` (it is no dead letter), ``NotSafe``, ``Outage``.
    """
    partition, topic = _place(store, message_id)
    keys = partition.keys
    for _ in range(CHANGE_TRIES):
        seen, record = b"", b""
        if change != NO_CHANGE:
            view = await messages.get(store, message_id)
            if view.status == "dead" and view.record is not None:
                seen, record = view.stored, encode_record(_changed(view.record, change))
        answer, reached = await partition.run(
            REPLAY,
            [keys.dead, keys.dead_records, keys.index, keys.labels, *keys.dues(topic)],
            [message_id, keys.wake_channel, due_ms, record, seen, *(parse_lane(lane)[1] for lane in lanes(topic))],
            asked,
            b"replayed",
        )
        if answer[0] == b"replayed":
            now = await messages.get(store, message_id)
            tell(partition, "replayed", topic, message_id, due_ms=now.due_ms, record=now.record)
            return structs.replace(now, durability=reached)
        if answer[0] != b"stale":
            view = await messages.get(store, message_id)
            raise TooLate(message_id, view.status if answer[0] == b"absent" else "a dead letter without a record", "replay")
    raise TooLate(message_id, "being changed by others", "replay")


def _changed(record: Record, change: Change) -> Record:
    before = record.options
    options = structs.replace(
        before,
        retry=change.retry or before.retry,
        deadline_ms=change.deadline_ms or before.deadline_ms,
        priority=change.priority or before.priority,
    )
    if change.body is None:
        return structs.replace(record, options=options)
    options = structs.replace(options, content_type=change.body.options.content_type)
    return structs.replace(record, kind=change.body.kind, body=change.body.body, options=options)


async def delete(store: Store, message_id: str, asked: Durability = "memory") -> Durability:
    """Removes a dead letter for ever. Raises ``NotFound``, ``NotSafe``, ``Outage``."""
    partition, topic = _place(store, message_id)
    keys = partition.keys
    (told,) = await messages.get_each(partition, [message_id]) if topic in partition.events.kept else [None]
    answer, reached = await partition.run(DELETE_DEAD, [keys.dead, keys.dead_records], [message_id], asked, b"deleted")
    if answer[0] != b"deleted":
        raise NotFound(message_id, "dead letter")
    tell(partition, "deleted", topic, message_id, record=told.record if told else None)
    return reached


def _place(store: Store, message_id: str) -> tuple[Partition, str]:
    parsed = parse_id(message_id)
    if parsed is None or parsed.partition >= len(store.partitions):
        raise NotFound(message_id)
    return store.partitions[parsed.partition], parsed.topic
