"""What a process keeps to tell, for a moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from shared.events import MOST_AT_ONCE, ROOM, Batch, Event, Outbox


def event(number: int = 0) -> Event:
    return Event(event="scheduled", at_ms=number, topic="work", message_id=str(number))


def test_what_is_told_comes_in_batches_with_numbers() -> None:
    """Each is numbered on from the one before."""
    outbox = Outbox()
    for number in range(MOST_AT_ONCE + 3):
        outbox.add(event(number))

    first, second = outbox.take(), outbox.take()

    assert first is not None
    assert second is not None
    assert (first.first, len(first.events), second.first, len(second.events)) == (0, MOST_AT_ONCE, MOST_AT_ONCE, 3)
    assert [one.at_ms for one in (*first.events, *second.events)] == list(range(MOST_AT_ONCE + 3))
    assert outbox.take() is None


def test_what_finds_no_room_is_counted_and_leaves_a_gap() -> None:
    """From many threads at once: none is lost without being counted."""
    outbox = Outbox()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(outbox.add, (event(number) for number in range(ROOM + 500))))

    batch = outbox.take()

    assert batch is not None
    assert batch.dropped >= 500
    assert batch.first == batch.dropped
    rest, told = ROOM - len(batch.events), len(batch.events)
    while (more := outbox.take()) is not None:
        told += len(more.events)
    assert told == len(batch.events) + rest
    assert told + batch.dropped == ROOM + 500


def test_a_batch_that_could_not_be_told_counts_as_left_out() -> None:
    """The next one says so, with a gap in the numbers."""
    outbox = Outbox()
    outbox.add(event())
    lost = outbox.take()
    assert lost is not None

    outbox.lost(lost)

    assert outbox.take() == Batch(origin=lost.origin, first=2, dropped=1, events=())


def test_nobody_hears_what_was_kept_for_those_before() -> None:
    """Who begins to watch gets what happens from then on."""
    outbox = Outbox()
    outbox.want(wanted=True)
    outbox.add(event())

    outbox.want(wanted=True)
    assert outbox.take() is not None
    outbox.add(event())
    outbox.want(wanted=False)
    outbox.want(wanted=True)

    assert outbox.take() is None


@pytest.mark.parametrize(
    "told",
    [
        b"", b"[]", b"hello", b'{"origin": "x", "first": 0, "dropped": 0, "events": []}',
        b'{"origin": "0123abcd\\n", "first": 0, "dropped": 0, "events": []}',
        b'{"origin": "0123abcd", "first": -1, "dropped": 0, "events": []}',
        b'{"origin": "0123abcd", "first": 0, "dropped": 0, "events": [{"event": "x\\ny", "at_ms": 1, "topic": "a"}]}',
    ],
)  # fmt: skip
def test_a_stranger_cannot_write_lines_into_a_stream(told: bytes) -> None:
    """What becomes the lines ``event`` and ``id`` has a form that is checked."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(told, type=Batch)


def webhook(message_id: str = "webhook-0-1") -> Event:
    return Event(event="running", at_ms=1, topic="webhook", message_id=message_id)


def test_a_topic_is_wanted_where_somebody_watches_or_the_log_tells_of_it() -> None:
    """Of other topics nothing is made while nobody watches."""
    outbox = Outbox(frozenset({"webhook"}))

    assert (outbox.wants("webhook"), outbox.wants("work")) == (True, False)
    outbox.want(wanted=True)
    assert (outbox.wants("webhook"), outbox.wants("work")) == (True, True)


def test_the_log_gets_what_happened_before_somebody_watched_and_after() -> None:
    """What only those who watched before would have got is thrown away; the order stays."""
    outbox = Outbox(frozenset({"webhook"}))
    outbox.want(wanted=True)
    for one in (webhook("webhook-0-1"), event(), webhook("webhook-0-2"), webhook("")):
        outbox.add(one)

    outbox.want(wanted=False)

    batch = outbox.take()
    assert batch is not None
    assert [one.message_id for one in batch.events] == ["webhook-0-1", "webhook-0-2"]
