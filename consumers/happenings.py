"""What happens to a delivery, for those who watch. Called only while somebody does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.events import ERROR_CHARACTERS, Event, Kind
from shared.ids import parse_id
from shared.store.entries import Follow, Settlement
from shared.store.messages import Attempt

if TYPE_CHECKING:
    from consumers.delivery import Delivery

_attempt = msgspec.json.Decoder(Attempt)


def started(delivery: Delivery) -> Event:
    """In a pool's thread."""
    return _event(delivery, "running", delivery.started_ms)


def ended(delivery: Delivery, settlement: Settlement) -> Event:
    """Once its settlement took effect. When a retry is due Redis says alone: it is known here to some milliseconds."""
    now_ms = delivery.clock.now_ms()
    if settlement.outcome == "finished":
        return _event(delivery, "delivered" if delivery.started_ms else "expired", now_ms)
    error = _attempt.decode(settlement.text).error[:ERROR_CHARACTERS] if settlement.text else ""
    if settlement.outcome == "retry":
        return _event(delivery, "retrying", now_ms, error=error, due_ms=now_ms + settlement.number)
    return _event(delivery, "dead", now_ms, error=error)


def made(follow: Follow, at_ms: int) -> Event:
    """A message that the end of another made."""
    parsed = parse_id(follow.id)
    topic = parsed.topic if parsed else ""
    return Event(event="scheduled", at_ms=at_ms, topic=topic, message_id=follow.id, due_ms=follow.due_ms, labels=follow.labels)


def _event(delivery: Delivery, event: Kind, at_ms: int, *, error: str = "", due_ms: int = 0) -> Event:
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
    )
