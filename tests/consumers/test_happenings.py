"""What is told of a delivery."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from consumers.delivery import Delivery
from consumers.happenings import ended, tell_end
from consumers.outcomes import Dead, Retry
from consumers.verdict import finished, spent, verdict
from shared.about import MOST_BYTES, About
from shared.events import ERROR_CHARACTERS, Event, Outbox
from shared.record import Options, Webhook
from shared.store.messages import Attempt, Response
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


def kept(**options: Any) -> Delivery:
    """A delivery of a webhook of which the log tells, and nobody else wants to know."""
    asked = Options(webhook=Webhook(url="https://example.com/a", method="PUT"), headers={"X-Own": "1"})
    delivery = make_delivery(topic="webhook", options=asked, **options)
    delivery.worker, delivery.events = "worker-1", Outbox(frozenset({"webhook"}))
    return delivery


def test_the_log_hears_where_it_goes_at_every_step() -> None:
    """The start with the end; headers and body it has from the beginning of the message."""
    delivery = kept()

    delivery.start()
    assert told(delivery) == []
    tell_end(delivery, verdict(delivery, None, 2, "worker-1"))

    events, about = told(delivery), About(url="https://example.com/a", method="PUT")
    assert [(one.event, one.about) for one in events] == [("running", about), ("delivered", about)]
    assert events[0].at_ms == delivery.started_ms


def test_the_log_hears_nothing_of_what_was_not_tried() -> None:
    """Messages that wait for a host come and go by the thousand; who watches sees them."""
    for delivery, expected in ((kept(), []), (watched(), ["running", "retrying"])):
        delivery.start()
        tell_end(delivery, verdict(delivery, Retry(5, counts=False), 2, "worker-1"))
        assert [one.event for one in told(delivery)] == expected


@pytest.mark.parametrize(
    ("response", "body", "truncated"),
    [
        (Response(status=503, headers={"X-Why": "busy"}, body="later"), b"later", False),
        (Response(status=503, headers={"X-Why": "busy"}, body_base64="/wA="), b"\xff\x00", False),
        (Response(status=503, headers={"X-Why": "busy"}, body="later", truncated=True), b"later", True),
        (Response(status=503, headers={"X-Why": "busy"}, body="\u00e4" * 4096), ("\u00e4" * 2048).encode(), True),
    ],
)
def test_the_log_hears_what_was_answered(response: Response, body: bytes, *, truncated: bool) -> None:
    """To an attempt that failed and to one that did not; of a long body the beginning."""
    delivery = kept()
    delivery.start()
    failed = Attempt(attempt=1, started_ms=1, ended_ms=2, error="503", worker="worker-1", delay_ms=5, response=response)
    text = msgspec.json.encode(failed).decode()
    settlement = msgspec.structs.replace(verdict(delivery, ValueError("503"), 2, "worker-1"), text=text)

    retrying = ended(delivery, settlement)
    delivery.result = response
    delivered = ended(delivery, verdict(delivery, None, 2, "worker-1"))

    assert (retrying.event, delivered.event) == ("retrying", "delivered")
    for about in (retrying.about, delivered.about):
        assert about is not None
        assert (about.status, about.response_headers, about.response_body) == (503, {"X-Why": "busy"}, body)
        assert about.response_truncated is truncated


def test_bytes_that_are_cut_are_cut_to_what_is_kept() -> None:
    """Base64 is decoded as far as it is needed."""
    delivery, content = kept(), bytes(range(256)) * 20
    delivery.start()
    delivery.result = Response(status=200, body_base64=base64.b64encode(content).decode())

    event = ended(delivery, verdict(delivery, None, 2, "worker-1"))

    assert event.about is not None
    assert (event.about.response_body, event.about.response_truncated) == (content[:MOST_BYTES], True)


def test_those_who_watch_another_topic_cost_no_look_at_where_it_goes() -> None:
    """Of what is not kept nothing is told but what the stream shows."""
    delivery = watched()

    delivery.start()

    (event,) = told(delivery)
    assert event.about is None
