"""What is told of a delivery."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.delivery import Delivery
from consumers.happenings import ended
from consumers.outcomes import Dead, Retry
from consumers.verdict import finished, spent, verdict
from shared.events import ERROR_CHARACTERS, Event, Outbox
from shared.record import Options
from tests.consumers.making import make_delivery


def watched(**options: Any) -> Delivery:
    """A delivery that somebody watches."""
    delivery = make_delivery(options=Options(labels=("red",)), **options)
    delivery.worker, delivery.events = "worker-1", Outbox()
    delivery.events.want(wanted=True)
    return delivery


def told(delivery: Delivery) -> list[Event]:
    batch = delivery.events.take()
    return list(batch.events) if batch else []


def test_a_start_is_told_with_its_lateness() -> None:
    """The one that the handler gets."""
    delivery = watched(attempts=2)

    message = delivery.start()

    (event,) = told(delivery)
    assert (event.event, event.message_id, event.topic, event.attempt) == ("running", delivery.record.id, "alpha", 3)
    assert (event.at_ms, event.lateness_ms) == (message.started_ms, message.started_ms - delivery.entry.due_ms)
    assert (event.worker, event.labels) == ("worker-1", ("red",))


def test_nothing_is_told_where_nobody_watches() -> None:
    """Nothing is even made."""
    delivery = watched()
    delivery.events.want(wanted=False)

    delivery.start()

    assert told(delivery) == []


@pytest.mark.parametrize(
    ("attempts", "error", "kind", "says"),
    [
        (0, None, "delivered", ""),
        (0, ValueError("no such address"), "retrying", "ValueError: no such address"),
        (0, Retry(5_000, reason="later"), "retrying", "later"),
        (0, Retry(5_000, counts=False), "retrying", ""),
        (0, Dead("no use"), "dead", "no use"),
        (4, ValueError("again"), "dead", "ValueError: again"),
        (0, ValueError("x" * 5_000), "retrying", f"ValueError: {'x' * 5_000}"[:ERROR_CHARACTERS]),
    ],
)
def test_an_end_is_told_by_its_outcome(attempts: int, error: Exception | None, kind: str, says: str) -> None:
    """With what was wrong, and when it is due again."""
    delivery = watched(attempts=attempts)
    delivery.start()
    now_ms = delivery.clock.now_ms()

    event = ended(delivery, verdict(delivery, error, now_ms, "worker-1"))

    assert (event.event, event.error, event.attempt, event.worker) == (kind, says, attempts + 1, "worker-1")
    assert event.lateness_ms is not None
    assert (event.due_ms > event.at_ms) is (kind == "retrying")


def test_what_was_not_started_here_has_no_lateness() -> None:
    """One that expired while it waited, and one that its lost workers buried."""
    expired, buried = watched(), watched(attempts=7, deliveries=4)
    burial = spent(buried, 1)
    assert burial is not None

    events = [ended(expired, finished(expired, "expired", 1, "worker-1")), ended(buried, burial)]

    assert [(one.event, one.attempt, one.lateness_ms) for one in events] == [("expired", 0, None), ("dead", 7, None)]
