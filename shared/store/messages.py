"""One message at a time: look, cancel, change, deliver now."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from shared.errors import InvalidField, NotFound, Stale, TooLate
from shared.ids import parse_id
from shared.record import Priority, Record, decode_record, encode_record
from shared.settings import Durability, RetentionSettings
from shared.store.keys import GROUP, lane_of, lanes
from shared.store.partition import Partition, Store
from shared.store.scripts import CANCEL, CHANGE, GET, Argument
from shared.store.telling import tell
from shared.times import format_ms

CANCELLED_KEPT_MS = 60_000
"""A cancelled message is remembered at least this long, so that a repeated cancel gets the same answer."""
CANCELLED_KEPT = 1_000
"""There is room for this many finished messages when one is cancelled, whatever ``Retention.MaxDelivered`` says."""
CHANGE_TRIES = 5


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a webhook was answered. The body is text where it is UTF-8, else base64."""

    status: int
    headers: dict[str, str] = {}
    body: str = ""
    body_base64: str = ""
    truncated: bool = False
    """Whether the body was longer, or was cut off."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failed attempt, as stored and as shown."""

    attempt: int
    started_ms: int
    ended_ms: int
    error: str
    worker: str
    delay_ms: int | None = None
    """How long after its end it was to be tried again; ``None`` of the last one, and of those of an earlier release."""
    response: Response | None = None
    """Only of a webhook that was answered."""


class Finished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a message that was delivered, expired or cancelled: outcome and times only."""

    status: str
    due_ms: int
    settled_ms: int
    attempts: int
    created_ms: int = 0
    started_ms: int = 0
    worker: str = ""
    response: Response | None = None
    """Only of a webhook."""


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
    dispatched_ms: int | None = None
    """When it was moved to its stream; only of one that lies there."""
    worker: str = ""
    parked: bool = False
    """Whether it is due and waits for a place of its flow key."""
    died_ms: int = 0
    reason: str = ""
    finished: Finished | None = None
    durability: Durability | None = None
    """How safe the change is that gave this view; ``None`` where it is only a look."""

    @property
    def tag(self) -> str:
        """Another one after every change of its record, its due time or its attempts, and when it is over."""
        over = self.status if self.finished or self.died_ms else ""
        seen = b"%b %d %d %b" % (over.encode(), self.due_ms, self.attempts, self.stored)
        return blake2b(seen, digest_size=12).hexdigest()

    @property
    def created_ms(self) -> int | None:
        """``None`` where it is not known."""
        if self.finished is not None:
            return self.finished.created_ms or None
        return self.record.created_ms if self.record else None

    def retry_ms(self, number: int) -> int | None:
        """When the next attempt after the failed one of that number in ``errors`` was due; ``None`` where none was, or it is not
        known. Of the newest one of a message that still lives it is the due time itself. Of others it is reckoned from when the
        worker saw it end, which is a few milliseconds before it was settled, or more in an outage.
        """
        one = self.errors[number]
        if one.delay_ms is None:
            return None
        return self.due_ms if self.lives and number == len(self.errors) - 1 else one.ended_ms + one.delay_ms

    @property
    def lives(self) -> bool:
        """Whether it may still be delivered without anybody's doing."""
        return self.finished is None and not self.died_ms


Tags = frozenset[str] | None
"""Of which one has to be that of the message now; ``None`` where any will do."""


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
    return _view(place, await GET.run(place.partition.client, *_look(place)))


async def get_each(partition: Partition, ids: Sequence[str]) -> list[View | None]:
    """Messages of one partition, each as it is at its own moment; ``None`` where there is none. Raises ``Outage``."""
    places = [_Place(one, parsed.topic, partition) if (parsed := parse_id(one)) else None for one in ids]
    answers = iter(await GET.run_each(partition.client, [_look(place) for place in places if place]))
    return [_view_if_any(place, next(answers)) if place else None for place in places]


def _look(place: _Place) -> tuple[list[str], list[Argument]]:
    keys, dues = place.partition.keys, place.partition.keys.dues(place.topic)
    others = [keys.index, keys.finished, keys.dead, keys.dead_records, keys.errors(place.id)]
    return [*others, *dues, *keys.streams(place.topic)], [place.id, GROUP, len(dues)]


def _view_if_any(place: _Place, answer: list[Any]) -> View | None:
    return None if answer[0] == b"absent" else _view(place, answer)


def _view(place: _Place, answer: list[Any]) -> View:
    lies = answer[0].decode()
    if lies == "absent":
        raise NotFound(place.id)
    if lies == "finished":
        return finished_view(place.id, place.topic, answer[1])
    if lies == "dead":
        return dead_view(place.id, place.topic, int(answer[1]), answer[2])
    attempts = int(answer[2])
    status = ("retrying" if attempts else "scheduled") if lies == "waiting" else lies
    return View(
        id=place.id,
        topic=place.topic,
        status=status,
        due_ms=int(float(answer[1])),
        attempts=attempts,
        stored=answer[3],
        record=readable(answer[3]),
        errors=tuple(msgspec.json.decode(error, type=Attempt) for error in answer[4]),
        dispatched_ms=int(answer[5].partition(b"-")[0]) if lies in {"ready", "running"} else None,
        worker=answer[6].decode() if lies == "running" else "",
        parked=lies == "waiting" and answer[5:] == [1],
    )


def finished_view(message_id: str, topic: str, stored: bytes) -> View:
    """A finished message from what is kept of it: a line of JSON, and one with the errors of its attempts where some failed."""
    text, _, errors = stored.partition(b"\n")
    finished = msgspec.json.decode(text, type=Finished)
    return View(
        id=message_id,
        topic=topic,
        status=finished.status,
        due_ms=finished.due_ms,
        attempts=finished.attempts,
        errors=msgspec.json.decode(errors, type=tuple[Attempt, ...]) if errors else (),
        worker=finished.worker,
        finished=finished,
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
        record=readable(record),
        errors=msgspec.json.decode(errors, type=tuple[Attempt, ...]),
        died_ms=died_ms,
        reason=dead.reason,
    )


def readable(stored: bytes) -> Record | None:
    """The record of those bytes; ``None`` where they are none that is known here."""
    try:
        return decode_record(stored)
    except ValueError:
        return None


async def cancel(store: Store, message_id: str, asked: Durability = "memory", tags: Tags = None) -> Durability:
    """Takes the message back: with a return it will not be delivered. Says how safe that is.

    Raises ``NotFound``, ``TooLate``, ``Stale``, ``NotSafe``, ``Outage``.
    """
    place = _place(store, message_id)
    for _ in range(CHANGE_TRIES):
        seen = await _matching(store, message_id, tags)
        told = await get(store, message_id) if seen is None and place.topic in place.partition.events.kept else seen
        answer, reached = await _cancel(place, store.settings.retention, seen, asked)
        if answer[0] == b"cancelled":
            if told is None or told.lives:  # else it was cancelled before, and the log has it
                tell(place.partition, "cancelled", place.topic, message_id, record=told.record if told else None)
            return reached
        if answer[0] != b"stale":
            await _refuse(store, message_id, "cancel")
    raise TooLate(message_id, "being changed by others", "cancel")


async def _matching(store: Store, message_id: str, tags: Tags) -> View | None:
    """The message where it matches; ``None`` where any will do, and where it is over. Raises ``Stale``."""
    if tags is None:
        return None
    seen = await get(store, message_id)
    if not seen.lives:
        return None
    if seen.tag not in tags:
        raise Stale(f"message {message_id!r}")
    return seen


async def _cancel(place: _Place, retention: RetentionSettings, seen: View | None, asked: Durability) -> tuple[Any, Durability]:
    keys, message_id, dues = place.partition.keys, place.id, place.partition.keys.dues(place.topic)
    return await place.partition.run(
        CANCEL,
        [
            keys.index,
            keys.finished,
            keys.finished_expiry,
            keys.errors(message_id),
            keys.flow(place.topic, "held"),
            keys.flow(place.topic, "next"),
            keys.labels,
            keys.flow(place.topic, "kept"),
            *dues,
            *keys.streams(place.topic),
        ],
        [
            message_id,
            GROUP,
            max(retention.delivered_ms, CANCELLED_KEPT_MS),
            max(retention.max_delivered, CANCELLED_KEPT),
            seen.stored if seen else "",
            seen.due_ms if seen else "",
            len(dues),
            keys.wake_channel,
        ],
        asked,
        b"cancelled",
    )


class _Fence(msgspec.Struct, frozen=True):
    """What the caller has seen; empty where any will do."""

    record: bytes = b""
    due_ms: str = ""


_NO_FENCE = _Fence()


async def change(
    store: Store,
    message_id: str,
    *,
    due_ms: int | None = None,
    body: Record | None = None,
    priority: Priority | None = None,
    asked: Durability = "memory",
    tags: Tags = None,
) -> View:
    """Another due time, another body (that of ``body``: kind, bytes, content type), another priority; the id stays.

    Raises ``NotFound``, ``TooLate`` (the message is not waiting any more), ``Stale``, ``InvalidField`` (it would expire before
    that time), ``NotSafe``, ``Outage``.
    """
    due = "" if due_ms is None else str(due_ms)
    for _ in range(CHANGE_TRIES):
        seen = await get(store, message_id)
        if seen.status not in {"scheduled", "retrying"}:
            raise TooLate(message_id, seen.status, "change")
        if tags is not None and seen.tag not in tags:
            raise Stale(f"message {message_id!r}")
        _check_expiry(seen, due_ms)
        record = _rewritten(seen, body, priority) if body or priority else b""
        fence = _Fence(seen.stored if record or tags else b"", str(seen.due_ms) if tags else "")
        lane = _lane(seen, priority) if priority else ""
        changed = await _change(store, message_id, due, record, fence, lane=lane, asked=asked)
        if changed is not None:
            return changed
    raise TooLate(message_id, "being changed by others", "change")


def _check_expiry(seen: View, due_ms: int | None) -> None:
    expires_ms = seen.record.options.expires_ms if seen.record else None
    if due_ms is not None and expires_ms is not None and due_ms >= expires_ms:
        raise InvalidField("", f"expected a due time before the message's expires_at ({format_ms(expires_ms)})")


def _lane(seen: View, priority: Priority) -> str:
    return lane_of(seen.topic, priority, seen.record.options.flow_key if seen.record else None)


def _rewritten(seen: View, body: Record | None, priority: Priority | None) -> bytes:
    record = seen.record
    if record is None:
        raise TooLate(seen.id, "stored in a form that cannot be read", "change")
    content_type = body.options.content_type if body else record.options.content_type
    options = msgspec.structs.replace(record.options, content_type=content_type, priority=priority or record.options.priority)
    kind, content = (body.kind, body.body) if body else (record.kind, record.body)
    return encode_record(Record(seen.id, record.created_ms, kind, content, options))


async def deliver_now(store: Store, message_id: str, asked: Durability = "memory", tags: Tags = None) -> View:
    """Makes a waiting message due at once.

    Raises ``NotFound``, ``TooLate`` (it is moving already), ``Stale``, ``NotSafe``, ``Outage``.
    """
    for _ in range(CHANGE_TRIES):
        seen = await _matching(store, message_id, tags)
        fence = _Fence(seen.stored, str(seen.due_ms)) if seen else _NO_FENCE
        changed = await _change(store, message_id, "now", b"", fence, wanted="deliver", asked=asked)
        if changed is not None:
            return changed
    raise TooLate(message_id, "being changed by others", "deliver")


async def _change(
    store: Store,
    message_id: str,
    due: str,
    record: bytes,
    fence: _Fence = _NO_FENCE,
    *,
    lane: str = "",
    asked: Durability = "memory",
    wanted: str = "change",
) -> View | None:
    """The message as the script left it; ``None`` where it is not the one seen."""
    place = _place(store, message_id)
    keys, topic = place.partition.keys, place.topic
    others = [keys.index, keys.errors(message_id)]
    number = len(others) + 1 + lanes(topic).index(lane) if lane else 0
    answer, reached = await place.partition.run(
        CHANGE,
        [*others, *keys.dues(topic)],
        [message_id, keys.wake_channel, due, record, fence.record, fence.due_ms, number],
        asked,
        b"changed",
    )
    if answer[0] in (b"moved", b"absent"):
        await _refuse(store, message_id, wanted)
    if answer[0] == b"stale":
        return None
    attempts = answer[3].partition(b" ")[0]
    view = _view(place, [b"waiting", answer[1], attempts, answer[2], answer[4]])
    tell(place.partition, "changed", view.topic, view.id, due_ms=view.due_ms, record=view.record)
    return msgspec.structs.replace(view, durability=reached)


async def _refuse(store: Store, message_id: str, wanted: str) -> None:
    view = await get(store, message_id)
    raise TooLate(message_id, view.status, wanted)
