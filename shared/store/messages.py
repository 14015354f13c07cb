"""One message at a time: look, cancel, change, deliver now."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.errors import NotFound, TooLate
from shared.ids import parse_id
from shared.record import Record, decode_record, encode_record
from shared.settings import Durability
from shared.store.keys import GROUP
from shared.store.partition import Partition, Store
from shared.store.scripts import CANCEL, CHANGE, GET

CANCELLED_KEPT_MS = 60_000
"""A cancelled message is remembered at least this long, so that a repeated cancel gets the same answer."""
CANCELLED_KEPT = 1_000
"""There is room for this many finished messages when one is cancelled, whatever ``Retention.MaxDelivered`` says."""
CHANGE_TRIES = 5


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failed attempt, as stored and as shown."""

    attempt: int
    started_ms: int
    ended_ms: int
    error: str
    worker: str


class Finished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a message that was delivered, expired or cancelled: outcome and times only."""

    status: str
    due_ms: int
    settled_ms: int
    attempts: int
    created_ms: int = 0
    started_ms: int = 0
    worker: str = ""


class DeadHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a dead letter."""

    reason: str
    due_ms: int
    attempts: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is at one moment."""

    id: str
    topic: str
    status: str
    due_ms: int = 0
    attempts: int = 0
    """Attempts that failed or were lost; the one that runs now is not among them."""
    stored: bytes = b""
    """The record as it lies in Redis."""
    record: Record | None = None
    errors: tuple[Attempt, ...] = ()
    worker: str = ""
    died_ms: int = 0
    reason: str = ""
    finished: Finished | None = None
    durability: Durability | None = None
    """How safe the change is that gave this view; ``None`` where it is only a look."""


class _Place(msgspec.Struct, frozen=True):
    id: str
    topic: str
    partition: Partition


def _place(store: Store, message_id: str) -> _Place:
    parsed = parse_id(message_id)
    if parsed is None or parsed.partition >= len(store.partitions):
        raise NotFound(message_id)
    return _Place(message_id, parsed.topic, store.partitions[parsed.partition])


async def get(store: Store, message_id: str) -> View:
    """The message, wherever it lies. Raises ``NotFound``, ``Outage``."""
    place = _place(store, message_id)
    keys = place.partition.keys
    answer = await GET.run(
        place.partition.client,
        [
            keys.index,
            keys.due(place.topic),
            keys.finished,
            keys.dead,
            keys.dead_records,
            keys.errors(message_id),
            *keys.streams(place.topic),
        ],
        [message_id, GROUP],
    )
    return _view(place, answer)


def _view(place: _Place, answer: list[Any]) -> View:
    lies = answer[0].decode()
    if lies == "absent":
        raise NotFound(place.id)
    if lies == "finished":
        finished = msgspec.json.decode(answer[1], type=Finished)
        return View(
            id=place.id,
            topic=place.topic,
            status=finished.status,
            due_ms=finished.due_ms,
            attempts=finished.attempts,
            worker=finished.worker,
            finished=finished,
        )
    if lies == "dead":
        return dead_view(place.id, place.topic, int(answer[1]), answer[2])
    attempts = int(answer[2])
    status = {"waiting": "retrying" if attempts else "scheduled", "parked": "waiting"}.get(lies, lies)
    return View(
        id=place.id,
        topic=place.topic,
        status=status,
        due_ms=int(float(answer[1])),
        attempts=attempts,
        stored=answer[3],
        record=_readable(answer[3]),
        errors=tuple(msgspec.json.decode(error, type=Attempt) for error in answer[4]),
        worker=answer[5].decode() if lies == "running" else "",
    )


def dead_view(message_id: str, topic: str, died_ms: int, stored: bytes) -> View:
    """A dead letter from its three parts: why, the errors, the record."""
    header, errors, record = stored.split(b"\n", 2)
    dead = msgspec.json.decode(header, type=DeadHeader)
    return View(
        id=message_id,
        topic=topic,
        status="dead",
        due_ms=dead.due_ms,
        attempts=dead.attempts,
        stored=record,
        record=_readable(record),
        errors=msgspec.json.decode(errors, type=tuple[Attempt, ...]),
        died_ms=died_ms,
        reason=dead.reason,
    )


def _readable(stored: bytes) -> Record | None:
    try:
        return decode_record(stored)
    except ValueError:
        return None


async def cancel(store: Store, message_id: str, asked: Durability = "memory") -> Durability:
    """Takes the message back: with a return it will not be delivered. Says how safe that is.

    Raises ``NotFound``, ``TooLate``, ``NotSafe``, ``Outage``.
    """
    place = _place(store, message_id)
    keys, retention = place.partition.keys, store.settings.retention
    answer, reached = await place.partition.run(
        CANCEL,
        [
            keys.index,
            keys.due(place.topic),
            keys.finished,
            keys.finished_expiry,
            keys.errors(message_id),
            *keys.streams(place.topic),
        ],
        [message_id, GROUP, max(retention.delivered_ms, CANCELLED_KEPT_MS), max(retention.max_delivered, CANCELLED_KEPT)],
        asked,
        b"cancelled",
    )
    if answer[0] != b"cancelled":
        await _refuse(store, message_id, "cancel")
    return reached


async def change(
    store: Store, message_id: str, *, due_ms: int | None = None, body: Record | None = None, asked: Durability = "memory"
) -> View:
    """Another due time, or another body (that of ``body``: kind, bytes, content type), or both; the id stays.

    Raises ``NotFound``, ``TooLate`` (the message is not waiting any more), ``NotSafe``, ``Outage``.
    """
    due = "" if due_ms is None else str(due_ms)
    for _ in range(CHANGE_TRIES):
        seen = await get(store, message_id)
        if seen.status not in {"scheduled", "retrying"}:
            raise TooLate(message_id, seen.status, "change")
        record = _rewritten(seen, body) if body else b""
        changed = await _change(store, message_id, due, record, seen.stored if body else b"", asked=asked)
        if changed is not None:
            return changed
    raise TooLate(message_id, "being changed by others", "change")


def _rewritten(seen: View, body: Record) -> bytes:
    if seen.record is None:
        raise TooLate(seen.id, "stored in a form that cannot be read", "change")
    options = msgspec.structs.replace(seen.record.options, content_type=body.options.content_type)
    return encode_record(Record(seen.id, seen.record.created_ms, body.kind, body.body, options))


async def deliver_now(store: Store, message_id: str, asked: Durability = "memory") -> View:
    """Makes a waiting message due at once. Raises ``NotFound``, ``TooLate`` (it is moving already), ``NotSafe``, ``Outage``."""
    changed = await _change(store, message_id, "now", b"", b"", wanted="deliver", asked=asked)
    assert changed is not None  # noqa: S101 - any record will do
    return changed


async def _change(
    store: Store, message_id: str, due: str, record: bytes, seen: bytes, *, asked: Durability = "memory", wanted: str = "change"
) -> View | None:
    """The message as the script left it; ``None`` where the record is not the one seen."""
    place = _place(store, message_id)
    keys = place.partition.keys
    answer, reached = await place.partition.run(
        CHANGE,
        [keys.index, keys.due(place.topic), keys.errors(message_id)],
        [message_id, keys.wake_channel, due, record, seen],
        asked,
        b"changed",
    )
    if answer[0] in (b"moved", b"absent"):
        await _refuse(store, message_id, wanted)
    if answer[0] == b"stale":
        return None
    attempts = answer[3].partition(b" ")[0]
    view = _view(place, [b"waiting", answer[1], attempts, answer[2], answer[4]])
    return msgspec.structs.replace(view, durability=reached)


async def _refuse(store: Store, message_id: str, wanted: str) -> None:
    view = await get(store, message_id)
    raise TooLate(message_id, view.status, wanted)
