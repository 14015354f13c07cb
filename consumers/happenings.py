"""What happens to a delivery, for those who watch and for the log. Called only where somebody wants to know."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from shared.about import MOST_BYTES, About, about, answered
from shared.events import ERROR_CHARACTERS, Event, Kind
from shared.record import decode_record
from shared.settings import WEBHOOK
from shared.store.entries import Follow, Settlement
from shared.store.messages import Attempt, Response
from shared.store.telling import scheduled

if TYPE_CHECKING:
    from consumers.delivery import Delivery

_MOST_BASE64 = 4 * (MOST_BYTES // 3 + 1)
_attempt = msgspec.json.Decoder(Attempt)


def tell_end(delivery: Delivery, settlement: Settlement) -> None:
    """Once a settlement took effect. The log hears only of what was tried: what waits for a host that is down comes and goes
    by the thousand.
    """
    events, was_tried = delivery.events, settlement.outcome != "retry" or bool(settlement.text)
    if not events.wanted and not was_tried:
        return
    if not events.wanted and delivery.started_ms:
        events.add(started(delivery))
    events.add(ended(delivery, settlement))
    for follow in settlement.follows:
        events.add(made(delivery, follow))


def started(delivery: Delivery) -> Event:
    """In a pool's thread."""
    return _event(delivery, "running", delivery.started_ms)


def ended(delivery: Delivery, settlement: Settlement) -> Event:
    """Once its settlement took effect. When a retry is due Redis says alone: it is known here to some milliseconds."""
    now_ms = delivery.clock.now_ms()
    if settlement.outcome == "finished":
        response = delivery.result if isinstance(delivery.result, Response) else None
        return _event(delivery, "delivered" if delivery.started_ms else "expired", now_ms, response=response)
    failed = _attempt.decode(settlement.text) if settlement.text else None
    error, response = (failed.error[:ERROR_CHARACTERS], failed.response) if failed else ("", None)
    if settlement.outcome == "retry":
        return _event(delivery, "retrying", now_ms, error=error, due_ms=now_ms + settlement.number, response=response)
    return _event(delivery, "dead", now_ms, error=error, response=response)


def made(delivery: Delivery, follow: Follow) -> Event:
    """A message that the end of another made."""
    record, now_ms = decode_record(follow.record), delivery.clock.now_ms()
    return scheduled(record.id, WEBHOOK.name, now_ms, follow.due_ms, record.options, record.body, delivery.events.kept)


def _event(
    delivery: Delivery, event: Kind, at_ms: int, *, error: str = "", due_ms: int = 0, response: Response | None = None
) -> Event:
    """An expired one, and one that its lost workers buried, were not started here."""
    has_run = delivery.started_ms > 0
    return Event(
        event=event,
        at_ms=at_ms,
        topic=delivery.topic,
        message_id=delivery.record.id,
        due_ms=due_ms,
        attempt=delivery.attempt if has_run else delivery.entry.attempts,
        worker=delivery.worker,
        lateness_ms=max(0, delivery.started_ms - delivery.entry.due_ms) if has_run else None,
        error=error,
        labels=delivery.record.options.labels,
        about=_about(delivery, response) if delivery.topic in delivery.events.kept else None,
    )


def _about(delivery: Delivery, response: Response | None) -> About | None:
    found = about(delivery.record.options)
    if found is None or response is None:
        return found
    # No more is decoded than is kept, and one byte that tells that there was more.
    body = base64.b64decode(response.body_base64[:_MOST_BASE64]) or response.body[: MOST_BYTES + 1].encode()
    return answered(found, response.status, response.headers, body, truncated=response.truncated)
