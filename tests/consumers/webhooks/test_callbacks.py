"""callbacks.py and groups.py: the messages that the end of a webhook makes."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from consumers.delivery import Delivery
from consumers.outcomes import Dead, Retry
from consumers.verdict import finished, verdict
from consumers.webhooks.callbacks import callbacks
from consumers.webhooks.groups import spread
from shared.about import about
from shared.record import Callback, Options, RetryOptions, Webhook
from shared.store.chunks import Draft
from shared.store.messages import Response
from shared.store.url_groups import Endpoint, UrlGroup
from tests.consumers.making import DUE_MS, POLICY, make_delivery, make_record

CALLBACK = Callback("https://here.example/done", "PUT", {"X-Key": "1"}, RetryOptions(max_attempts=2), 500, 7_000)
FAILURE = Callback("https://here.example/failed")
WEBHOOK = Webhook(
    "https://there.example/", callback=CALLBACK, failure_callback=FAILURE, group="g", queue="q", caller_ip="192.0.2.1"
)
ANSWERED = Response(status=201, headers={"X-A": "b"}, body="füge")


def _delivery(webhook: Webhook = WEBHOOK, attempts: int = 0) -> Delivery:
    options = Options(webhook=webhook, headers={"X-Own": "2"}, priority="high", schedule="daily", trace="00-1-2-03")
    made = make_delivery(topic="webhook", attempts=attempts, options=options, body=b"sent")
    made.start()
    return made


def _callbacks(delivery: Delivery, error: BaseException | None, response: Response | None = None) -> list[Draft]:
    settlement = verdict(delivery, error, DUE_MS + 9, "w1")
    return callbacks(delivery, settlement, response, "" if error is None else str(error))


def _said(draft: Draft) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(draft.body)
    return found


def test_a_delivered_message_tells_its_callback_alone() -> None:
    """With what was answered and what was sent, in the words of QStash; and by the policy that the callback asks for."""
    delivery = _delivery(attempts=1)

    (draft,) = _callbacks(delivery, None, ANSWERED)

    record = delivery.record
    assert _said(draft) == {
        "status": 201,
        "header": {"X-A": ["b"]},
        "body": base64.b64encode("füge".encode()).decode(),
        "retried": 1,
        "maxRetries": 4,
        "sourceMessageId": record.id,
        "topicName": "g",
        "queueName": "q",
        "url": "https://there.example/",
        "method": "POST",
        "sourceHeader": {"X-Own": ["2"]},
        "sourceBody": base64.b64encode(b"sent").decode(),
        "notBefore": DUE_MS,
        "createdAt": record.created_ms,
        "scheduleId": "daily",
        "callerIP": "192.0.2.1",
    }
    assert (draft.topic, draft.delay_ms) == ("webhook", 500)
    assert draft.options == Options(
        priority="high", retry=RetryOptions(max_attempts=2), deadline_ms=7_000, headers={"X-Key": "1"},
        content_type="application/json", trace="00-1-2-03",
        webhook=Webhook("https://here.example/done", "PUT", callback_of=record.id),
    )  # fmt: skip


def test_what_is_redacted_of_a_message_is_not_shown_of_its_callbacks() -> None:
    """Their bodies hold it: the receiver is told, the log is not."""
    webhook = replace(WEBHOOK, redact=("header[X-Own]",))

    told = _callbacks(_delivery(webhook), Dead("no more"))

    assert [_said(draft)["sourceHeader"] for draft in told] == [{"X-Own": ["2"]}] * 2
    for draft in told:
        shown = about(draft.options, draft.body)
        assert shown is not None
        assert (shown.body or b"").startswith(b"REDACTED:")


def test_a_failed_attempt_tells_the_callback_and_the_last_one_also_the_failure_callback() -> None:
    """Each attempt that counts is told; the dead letter by its id."""
    (first,) = _callbacks(_delivery(), Retry(5, reason="answered 500"), Response(status=500))
    assert (_said(first)["status"], _said(first)["retried"], _said(first)["error"]) == (500, 0, "answered 500")
    assert "dlqId" not in _said(first)

    last = _delivery(attempts=POLICY.max_attempts - 1)
    done, failed = _callbacks(last, ValueError("no answer"))
    assert [one.options.webhook for one in (done, failed)] == [
        Webhook(CALLBACK.url, "PUT", callback_of=last.record.id), Webhook(FAILURE.url, callback_of=last.record.id),
    ]  # fmt: skip
    assert _said(failed) == _said(done)
    assert (_said(failed)["dlqId"], _said(failed)["status"], _said(failed)["body"]) == (last.record.id, 0, "")
    assert len(_callbacks(_delivery(), Dead("no more"))) == 2


def test_what_is_no_attempt_and_what_nobody_asked_for_is_not_told() -> None:
    """A wait that costs nothing, a message that expired, one without callbacks."""
    assert _callbacks(_delivery(), Retry(5, counts=False)) == []
    expired = _delivery()
    assert callbacks(expired, finished(expired, "expired", DUE_MS, "w1"), None, "") == []
    assert _callbacks(_delivery(Webhook("https://there.example/")), Dead("no more")) == []
    assert _callbacks(make_delivery(), None) == []


@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_that_is_no_text_is_told_as_it_was(encoded: bool) -> None:
    """Whatever it was kept as, a callback has its bytes in base64."""
    body = base64.b64encode(b"\xff\x00").decode()
    response = Response(status=200, body_base64=body) if encoded else Response(status=200, body="ok")

    (draft,) = _callbacks(_delivery(), None, response)

    assert base64.b64decode(_said(draft)["body"]) == (b"\xff\x00" if encoded else b"ok")


def test_a_group_becomes_a_message_for_each_endpoint() -> None:
    """Each is the message itself but for the URL, its callbacks included."""
    options = Options(webhook=msgspec.structs.replace(WEBHOOK, url=""), labels=("a",), flow_key="k", headers={"X": "1"})
    record = make_record("webhook", options=options)
    group = UrlGroup("g", 1, 2, (Endpoint("https://one.example/", "one"), Endpoint("https://two.example/", None)))

    made = spread(record, group)

    assert [(one.topic, one.kind, one.body) for one in made] == [("webhook", record.kind, record.body)] * 2
    assert [one.options for one in made] == [
        msgspec.structs.replace(options, webhook=msgspec.structs.replace(WEBHOOK, url="https://one.example/", endpoint="one")),
        msgspec.structs.replace(options, webhook=msgspec.structs.replace(WEBHOOK, url="https://two.example/")),
    ]
    assert spread(record, UrlGroup("g", 1, 2, ())) == []
