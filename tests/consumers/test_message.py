"""What a handler is given."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from consumers.message import Message
from shared.clock import RedisClock
from shared.record import Options
from tests.consumers.making import DUE_MS, make_delivery


def _message(body: bytes = b"") -> Message:
    return make_delivery(body=body).start()


def test_a_message_carries_what_the_caller_gave() -> None:
    """Body, headers, labels and trace are the record's; the id is the same at every attempt."""
    options = Options(headers={"X-A": "1"}, labels=("red", "blue"), trace="00-ab-cd-01", content_type="text/csv")
    delivery = make_delivery(body=b"a,b", options=options, attempts=2)

    message = delivery.start()

    assert (message.id, message.topic, message.body, message.content_type) == (delivery.record.id, "alpha", b"a,b", "text/csv")
    assert (message.headers, message.labels, message.trace) == ({"X-A": "1"}, ("red", "blue"), "00-ab-cd-01")
    assert (message.attempt, message.due_ms, message.created_ms) == (3, DUE_MS, delivery.record.created_ms)


def test_a_message_cannot_be_changed() -> None:
    """A handler gets it to read."""
    with pytest.raises(AttributeError):
        _message().body = b"other"  # type: ignore[misc] # the very thing that must not work


@pytest.mark.parametrize(("body", "text"), [(b"", ""), ("grün €".encode(), "grün €"), (b"\xff\x00a", "�\x00a")])
def test_text_is_always_text(body: bytes, text: str) -> None:
    """Bytes that are no UTF-8 are replaced."""
    assert _message(body).text == text


def test_json_is_the_bodys_value_or_a_value_error() -> None:
    """A body that is no JSON fails its attempt with words a person can act on."""
    assert _message(b'{"a": [1, 2.5, null, "x"]}').json() == {"a": [1, 2.5, None, "x"]}
    for body in (b"", b"{", b"hello", b"\xff"):
        with pytest.raises(ValueError, match="the body is no JSON"):
            _message(body).json()


def test_times_are_exact() -> None:
    """The due time as a moment keeps its milliseconds; lateness is start minus due, never negative."""
    message = replace(_message(), due_ms=1_790_000_000_123)

    assert message.due == datetime(2026, 9, 21, 14, 13, 20, 123_000, UTC)
    assert replace(message, started_ms=message.due_ms + 7).lateness_ms == 7
    assert replace(message, started_ms=message.due_ms - 7).lateness_ms == 0


def test_a_start_is_never_before_the_streams_own_millisecond() -> None:
    """However wrong this host's idea of Redis's clock is, the start is not before the entry was added."""
    delivery = make_delivery()
    delivery.clock = RedisClock()
    delivery.clock._offset_us = 0  # decades behind

    message = delivery.start()

    assert message.started_ms == delivery.entry.entry_ms
    assert message.lateness_ms == delivery.entry.entry_ms - DUE_MS == 3
