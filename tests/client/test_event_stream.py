"""The lines of a stream of events, as WHATWG HTML has them, however they are cut."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import Failed, Retry, Unreachable
from client.event_calls import events
from client.event_stream import LONGEST_LINE_BYTES, Lines, Stream
from tests.support.waiting import eventually

OPEN = httpx2.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"data: a\n\n", [{b"data": b"a"}]),
        (b"data: a\r\ndata: b\r\r\n", [{b"data": b"a\nb"}]),
        (b"\xef\xbb\xbfevent: x\ndata:a\nid: 1\n\n", [{b"event": b"x", b"data": b"a", b"id": b"1"}]),
        (b":\n\n: a comment\n\ndata:  b\n\n", [{b"data": b" b"}]),
        (b"event: x\n\ndata\n\n", [{b"data": b""}]),
        (b"data: a\n\ndata: not whole\n", [{b"data": b"a"}]),
        (b"surprise: 1\ndata: a\n\n", [{b"surprise": b"1", b"data": b"a"}]),
    ],
)
@given(data=st.data())
def test_lines_are_events(text: bytes, found: list[dict[bytes, bytes]], data: st.DataObject) -> None:
    """With any of the three ends of a line, and wherever the network cuts."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    lines = Lines()

    read = [event for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) for event in lines.read(text[start:end])]

    assert read == found


def test_a_wait_is_asked_for() -> None:
    """In milliseconds; what is no number is nothing."""
    lines = Lines()

    assert lines.read(b"retry: 2500\nretry: soon\n\n") == []

    assert lines.retry_s == 2.5


def test_a_connection_that_ends_is_opened_anew() -> None:
    """After the wait that the service asks for; and the caller hears that something may be missing."""
    stream = Stream(events(), Retry(tries=2, initial_s=0, max_s=9))
    assert stream.opened(OPEN) == []
    assert (
        stream.read(b'retry: 3000\n\nid: 0-1\ndata: {"event": "dead", "at": "2035-01-31T08:00:00.000Z", "new": 1}\n\n')[0].id
        == "0-1"
    )

    waits = [stream.wait_s(None)]
    (resumed,) = stream.opened(OPEN)
    waits.append(stream.wait_s(httpx2.ReadTimeout("nothing came")))

    assert (resumed.event, resumed.at <= datetime.now(UTC)) == ("resumed", True)
    assert waits == [3.0, 0.0]
    with pytest.raises(Unreachable):
        stream.wait_s(httpx2.ConnectError("nobody there"))


async def test_how_long_a_connection_lasted_does_not_count() -> None:
    """The time for tries begins when it ends."""
    until_s = time.monotonic() + 0.3
    stream = Stream(events(), Retry(tries=2, within_s=0.2, initial_s=0, max_s=0))
    stream.opened(OPEN)
    await eventually(lambda: time.monotonic() > until_s)

    assert stream.wait_s(None) == 0


def test_a_connection_may_not_be_repeated() -> None:
    """Where the client tries once."""
    stream = Stream(events(), Retry(tries=1))
    stream.opened(OPEN)

    with pytest.raises(Unreachable, match="has ended"):
        stream.wait_s(None)


@pytest.mark.parametrize(
    "text", [b"data: hello\n\n", b"data: {}\n\n", b"id: \xff\ndata: {}\n\n", b"x" * (LONGEST_LINE_BYTES + 1)]
)
def test_what_is_no_event_is_an_error(text: bytes) -> None:
    """The URL leads elsewhere, or something on the way answers itself."""
    stream = Stream(events(), Retry())
    stream.opened(OPEN)

    with pytest.raises(Failed, match="no stream of events"):
        stream.read(text)


def test_an_answer_of_another_type_is_an_error() -> None:
    """Such as a page of a proxy."""
    with pytest.raises(Failed, match="text/html"):
        Stream(events(), Retry()).opened(httpx2.Response(200, headers={"Content-Type": "text/html"}))
