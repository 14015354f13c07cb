"""What becomes of a delivery when its handler has ended, or cannot be started at all. Pure: no Redis, no clock."""

from __future__ import annotations

import msgspec

from consumers.delivery import Delivery
from consumers.outcomes import Dead, Retry
from consumers.registry import ERROR_BYTES
from shared.record import flow_key_of
from shared.store.entries import Entry, Lease, Settlement
from shared.store.messages import Attempt, DeadHeader, Finished, Response

MAX_DEFERRALS = 1_000
MAX_DEFERRAL_AGE_MS = 86_400_000
"""A retry that does not count is counted after all beyond this number, or this long after the first of them."""

_encode = msgspec.json.Encoder().encode


def verdict(delivery: Delivery, error: BaseException | None, ended_ms: int, worker: str) -> Settlement:
    """Returned: delivered. ``Dead``: dead letter. ``Retry``: as asked. Anything else: retry by policy, dead when spent."""
    if error is None:
        return finished(delivery, "delivered", ended_ms, worker)
    failure = _attempt(delivery, error, ended_ms, worker)
    if isinstance(error, Dead):
        return _dead(delivery, _bounded(describe(error), ERROR_BYTES), failure)
    asked_ms = error.wanted_ms if isinstance(error, Retry) else None
    if asked_ms is not None and isinstance(error, Retry) and error.holds_back:
        return _retry(delivery, None, asked_ms)
    if asked_ms is not None and _may_defer(delivery, error, ended_ms):
        return msgspec.structs.replace(  # not an attempt, so not an error of one either
            _retry(delivery, None, asked_ms),
            deferrals=delivery.entry.deferrals + 1,
            deferred_since_ms=delivery.entry.deferred_since_ms or ended_ms,
        )
    if delivery.attempt >= delivery.policy.max_attempts:
        return _dead(delivery, f"all {delivery.attempt} attempts failed", failure)
    by_policy_ms = delivery.policy.backoff.delay_ms(delivery.attempt)
    asked_to_count = isinstance(error, Retry) and error.counts
    delay_ms = by_policy_ms if asked_ms is None else asked_ms if asked_to_count else max(asked_ms, by_policy_ms)
    return _retry(delivery, msgspec.structs.replace(failure, delay_ms=delay_ms), delay_ms)


def finished(delivery: Delivery, status: str, ended_ms: int, worker: str) -> Settlement:
    """The message is over: ``delivered`` or ``expired``."""
    entry, record = delivery.entry, delivery.record
    kept = Finished(
        status=status,
        due_ms=entry.due_ms,
        settled_ms=ended_ms,
        attempts=delivery.attempt if status == "delivered" else entry.attempts,
        created_ms=record.created_ms,
        started_ms=delivery.started_ms,
        worker=worker,
        response=delivery.result if isinstance(delivery.result, Response) else None,
    )
    text = _encode(kept).decode() if delivery.policy.retention_ms else ""
    return Settlement(
        delivery.lease,
        record.id,
        delivery.topic,
        "finished",
        errors_exist=entry.attempts > 0 or entry.deferrals > 0,
        text=text,
        number=delivery.policy.retention_ms,
        record_bytes=len(text),
        flow=entry.flow,
        counts_as="delivered" if status == "delivered" else None,
        labels=record.options.labels,
    )


def spent(delivery: Delivery, now_ms: int) -> Settlement | None:
    """The burial of a message whose lost deliveries have used up its attempts; ``None`` where one is left."""
    if delivery.attempt <= delivery.policy.max_attempts:
        return None
    reason = f"its worker was lost {delivery.lease.deliveries - 1} times while it ran" if delivery.suspect else "attempts spent"
    lost = Attempt(
        attempt=delivery.entry.attempts,
        started_ms=delivery.entry.entry_ms,
        ended_ms=now_ms,
        error=f"{reason}; the last time claimed from {delivery.entry.lost_by or 'a worker before'}",
        worker=delivery.entry.lost_by,
    )
    return _dead(delivery, reason, lost)


def unreadable(entry: Entry, message_id: str, reason: str) -> Settlement:
    """The burial of an entry that is no record: kept as it is, for a person to look at."""
    header = DeadHeader(reason=reason, due_ms=entry.due_ms, attempts=entry.attempts)
    return Settlement(
        lease_of(entry), message_id, entry.topic, "dead",
        header=_encode(header).decode(), flow=entry.flow, counts_as="failed",
    )  # fmt: skip


def put_back(entry: Entry, message_id: str, delay_ms: int) -> Settlement:
    """A delivery that cannot be started here comes again later, and costs no attempt."""
    return Settlement(
        lease_of(entry),
        message_id,
        entry.topic,
        "retry",
        number=delay_ms,
        attempts=entry.attempts,
        deferrals=entry.deferrals,
        deferred_since_ms=entry.deferred_since_ms,
        record_bytes=len(entry.record),
        flow=entry.flow,
        flow_key=flow_key_of(entry.record),
    )


def lease_of(entry: Entry) -> Lease:
    return Lease(entry.stream, entry.entry_id, entry.deliveries)


def _may_defer(delivery: Delivery, error: BaseException, now_ms: int) -> bool:
    if not isinstance(error, Retry) or error.counts:
        return False
    since_ms = delivery.entry.deferred_since_ms or now_ms
    return delivery.entry.deferrals < MAX_DEFERRALS and now_ms - since_ms < min(error.free_ms, MAX_DEFERRAL_AGE_MS)


def _retry(delivery: Delivery, failure: Attempt | None, delay_ms: int) -> Settlement:
    """``failure``: ``None`` of a delivery that costs no attempt."""
    return Settlement(
        delivery.lease,
        delivery.record.id,
        delivery.topic,
        "retry",
        text=_encode(failure).decode() if failure else "",
        number=delay_ms,
        attempts=delivery.attempt if failure else delivery.entry.attempts,
        deferrals=delivery.entry.deferrals,
        deferred_since_ms=delivery.entry.deferred_since_ms,
        record_bytes=len(delivery.entry.record) + _response_bytes(failure),
        flow=delivery.entry.flow,
        flow_key=delivery.record.options.flow_key,
        counts_as="failed" if failure else None,
        labels=delivery.record.options.labels,
    )


def _dead(delivery: Delivery, reason: str, failure: Attempt) -> Settlement:
    header = DeadHeader(reason=reason, due_ms=delivery.entry.due_ms, attempts=failure.attempt)
    return Settlement(
        delivery.lease,
        delivery.record.id,
        delivery.topic,
        "dead",
        text=_encode(failure).decode(),
        header=_encode(header).decode(),
        record_bytes=len(delivery.entry.record) + _response_bytes(failure),
        flow=delivery.entry.flow,
        counts_as="failed",
        labels=delivery.record.options.labels,
    )


def _response_bytes(failure: Attempt | None) -> int:
    response = failure.response if failure else None
    return len(response.body) + len(response.body_base64) if response else 0


def _attempt(delivery: Delivery, error: BaseException, ended_ms: int, worker: str) -> Attempt:
    return Attempt(
        attempt=delivery.attempt,
        started_ms=delivery.started_ms,
        ended_ms=ended_ms,
        error=_bounded(describe(error), delivery.handler.error_bytes),
        worker=worker,
        response=error.response if isinstance(error, (Retry, Dead)) else None,
    )


def describe(error: BaseException) -> str:
    """``ValueError: no such address``; for what a handler asked, just its words."""
    try:
        words = str(error)
    except BaseException:  # noqa: BLE001 - a handler's exception may be of any kind, also one that cannot be shown
        words = "(its text cannot be shown)"
    if isinstance(error, (Dead, Retry)):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _bounded(text: str, size: int) -> str:
    """At most ``size`` bytes (3 or more) of UTF-8; what is no Unicode text is replaced."""
    encoded = text.encode("utf-8", "replace")
    return encoded.decode() if len(encoded) <= size else encoded[: size - 3].decode("utf-8", "ignore") + "…"
