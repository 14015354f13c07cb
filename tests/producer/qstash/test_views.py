"""Messages in QStash's words: what is redacted, what an attempt was answered, what is no text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from producer.qstash.views import dead_letter_out, headers_out, message_out, response_of
from shared.about import redacted
from shared.ids import make_id
from shared.record import Callback, Options, Record, Webhook
from shared.settings import Settings
from shared.store.messages import Attempt, Response, View

ID = make_id("webhook", 0, 1_000, 7)


def view(options: Options, body: bytes = b"secret", **more: Any) -> View:
    return View(id=ID, topic="webhook", status="dead", due_ms=5_000, record=Record(ID, 1, "text", body, options), **more)


@pytest.mark.parametrize(
    ("redact", "hidden"),
    [((), ()), (("body",), ("body",)), (("header",), ("X-One", "X-Two")), (("header[x-one]", "body"), ("X-One", "body"))],
)
def test_what_is_to_be_redacted_is_told_by_its_hash(settings: Settings, redact: tuple[str, ...], hidden: tuple[str, ...]) -> None:
    """Headers by their names in any case; those of callbacks too."""
    headers = {"X-One": "1", "X-Two": "2"}
    callback = Callback(url="https://example.com", headers=headers)
    wanted = Webhook(redact=redact, callback=callback, failure_callback=callback)

    found = message_out(view(Options(headers={**headers, "Content-Type": "text/a"}, webhook=wanted)), settings, {})

    assert found.body == (redacted(b"secret") if "body" in hidden else "secret")
    for told in (found.header, found.callback_header, found.failure_callback_header):
        shown = {name: redacted(value.encode()) if name in hidden else value for name, value in headers.items()}
        assert {name: told[name] for name in headers} == {name: [value] for name, value in shown.items()}


def test_a_hash_is_sha_256_in_hexadecimal_digits() -> None:
    """As QStash writes it, so that whoever has the value can compare."""
    assert redacted(b"") == "REDACTED:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("body", "body_base64"), [("no", ""), ("", "bm8=")])
def test_the_answer_to_an_attempt_is_told(settings: Settings, body: str, body_base64: str) -> None:
    """Status, headers and body of the last one."""
    answered = Response(status=503, headers={"A": "1", "B": "2"}, body=body, body_base64=body_base64)
    attempt = Attempt(attempt=1, started_ms=1, ended_ms=2, error="503", worker="w1", response=answered)

    found = dead_letter_out(view(Options(), errors=(attempt,)), settings, {})

    assert (found.response_status, found.response_header) == (503, {"A": ["1"], "B": ["2"]})
    assert (found.response_body, found.response_body_base64) == ("no", "")


def test_an_attempt_that_was_not_answered_has_none() -> None:
    """Such as one that could not connect."""
    attempt: Any = SimpleNamespace(response=None)

    assert response_of(attempt) is None


def test_a_header_may_be_there_several_times() -> None:
    """To each name its values, in their order."""
    assert headers_out([("A", "1"), ("B", "2"), ("A", "3")]) == {"A": ["1", "3"], "B": ["2"]}


def test_before_its_first_attempt_it_is_due_when_it_was_moved_to(settings: Settings) -> None:
    """And then the time first asked for is told: the due time is that of an attempt."""
    assert message_out(view(Options()), settings, {}).not_before == 5_000
    assert message_out(view(Options(), attempts=1), settings, {}).not_before == 1_000


def test_a_record_that_cannot_be_read_is_shown_as_it_is(settings: Settings) -> None:
    """Its bytes are the body, and nothing else is known."""
    found = dead_letter_out(View(id=ID, topic="webhook", status="dead", stored=b"\xff"), settings, {})

    assert (found.message_id, found.url, found.body, found.body_base64) == (ID, "", "", "/w==")
