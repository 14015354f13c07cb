"""What the log tells of a webhook message."""

from __future__ import annotations

from hashlib import sha256

import pytest

from shared.about import MOST_BYTES, MOST_HEADER_CHARACTERS, About, about, answered
from shared.record import Callback, Options, RetryOptions, Webhook


def options(headers: dict[str, str] | None = None, redact: tuple[str, ...] = ()) -> Options:
    return Options(headers=headers or {}, webhook=Webhook(url="https://example.com/a", redact=redact))


def hidden(value: str) -> str:
    return f"REDACTED:{sha256(value.encode()).hexdigest()}"


def test_a_message_is_told_of_with_where_it_goes_and_by_which_policy() -> None:
    """Its headers and its body only where it is told of for the first time."""
    told = Options(
        flow_key="queue:mail", retry=RetryOptions(max_attempts=4), schedule="daily", headers={"X-A": "1"},
        webhook=Webhook(
            url="https://example.com/a", method="PUT", group="all", endpoint="one", queue="mail", retry_delay="1000",
            caller_ip="192.0.2.1", callback=Callback("https://example.com/b"), failure_callback=Callback("https://example.com/c"),
        ),
    )  # fmt: skip

    later, first = about(told), about(told, b"hello")

    assert later == About(
        url="https://example.com/a", method="PUT", group="all", endpoint="one", queue="mail", schedule="daily",
        caller_ip="192.0.2.1", flow_key="queue:mail", max_attempts=4, retry_delay="1000", callback="https://example.com/b",
        failure_callback="https://example.com/c",
    )  # fmt: skip
    assert first is not None
    assert (first.headers, first.body, first.truncated) == ({"X-A": "1"}, b"hello", False)


def test_of_what_is_no_webhook_nothing_is_told() -> None:
    """Such as one whose topic a stranger took for it."""
    assert about(Options(), b"x") is None


@pytest.mark.parametrize(
    ("redact", "headers", "body"),
    [
        (("body",), {"X-A": "1", "X-B": "2"}, hidden("text")),
        (("header",), {"X-A": hidden("1"), "X-B": hidden("2")}, "text"),
        (("header[x-b]",), {"X-A": "1", "X-B": hidden("2")}, "text"),
    ],
)
def test_what_is_to_be_redacted_is_told_by_its_digest(redact: tuple[str, ...], headers: dict[str, str], body: str) -> None:
    """So that two of the same can be known for it."""
    told = about(options({"X-A": "1", "X-B": "2"}, redact), b"text")

    assert told is not None
    assert (told.headers, told.body) == (headers, body.encode())


@pytest.mark.parametrize(("length", "cut"), [(MOST_BYTES, False), (MOST_BYTES + 1, True)])
def test_a_long_body_is_cut_and_says_so(length: int, cut: bool) -> None:
    """Of a message and of an answer."""
    told = about(options(), b"x" * length)
    assert told is not None
    answer = answered(told, 200, {}, b"y" * length, truncated=False)

    assert (len(answer.body), answer.truncated) == (MOST_BYTES, cut)
    assert (len(answer.response_body), answer.response_truncated) == (MOST_BYTES, cut)


def test_headers_that_find_no_room_are_left_out() -> None:
    """An entry is bounded, whatever a message carries and whoever answers."""
    many = {f"X-{number}": "v" * 4_000 for number in range(50)}

    told = about(options(many), b"")
    assert told is not None
    answer = answered(told, 200, many, b"", truncated=False)

    assert list(told.headers) == list(answer.response_headers) == ["X-0", "X-1"]
    assert sum(len(name) + len(value) for name, value in told.headers.items()) <= MOST_HEADER_CHARACTERS
    assert told.truncated
    assert answer.response_truncated
