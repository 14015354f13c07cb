"""Lists, changes of many and topics, through both clients, against a real producer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from client import Invalid, NotFound
from client.message_calls import list_messages
from tests.client.faces import Face
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves(
    "due", "index", "finished", "idempotency", "stream", "dead", "errors", "paused", "flow:", "labels"
)

AT = datetime(2035, 1, 31, 9, tzinfo=UTC)


async def scheduled(face: Face, count: int, **more: object) -> list[str]:
    made = [await face.call("schedule", "work", deliver_at=AT + timedelta(hours=number), **more) for number in range(count)]
    return [one.id for one in made]


async def buried(face: Face, stages: Stages, count: int, error: str) -> list[str]:
    ids = [(await face.call("schedule", "work", body=number)).id for number in range(count)]
    await stages.dispatch("work")
    for entry in await stages.read("work"):
        await stages.bury(entry, "told so", error)
    return ids


async def test_messages_are_listed_by_state_and_filter(face: Face) -> None:
    """All pages, in either order, with times as datetimes."""
    red = await scheduled(face, 5, labels=["red"])
    await scheduled(face, 2)

    assert [one.id for one in await face.items("list_messages", label="red", page_size=2)] == red
    assert [one.id for one in await face.items("list_messages", label="red", order="newest")] == red[::-1]
    some = await face.items("list_messages", due_from=AT + timedelta(hours=1), due_until=AT + timedelta(hours=1), topic="work")
    assert [one.deliver_at for one in some] == [AT + timedelta(hours=1)] * 2
    assert await face.items("list_messages", state="delivered") == []


def test_a_time_of_a_query_says_its_zone() -> None:
    """As everywhere: one without could mean any time."""
    with pytest.raises(ValueError, match="due_from: expected a datetime with a time zone"):
        list_messages(due_from=AT.replace(tzinfo=None))


async def test_many_are_cancelled_and_delivered(face: Face) -> None:
    """First only counted; then those with a label are cancelled, and the rest is delivered now."""
    red, (other,) = await scheduled(face, 3, labels=["red"]), await scheduled(face, 1)

    assert (await face.call("cancel_many", label="red", dry_run=True)).affected == 3
    assert (await face.call("get", red[0])).status == "scheduled"
    done = await face.call("cancel_many", label="red")
    assert (done.affected, done.dry_run, done.next_cursor) == (3, False, "")
    assert (await face.call("get", red[0])).status == "cancelled"
    assert (await face.call("deliver_many_now", topic="work")).affected == 1
    assert (await face.call("get", other)).deliver_at < AT


async def test_dead_letters_are_found_looked_at_replayed_and_deleted(face: Face, stages: Stages) -> None:
    """One and many, with a change."""
    slow, broken = await buried(face, stages, 3, "TimeoutError"), await buried(face, stages, 2, "ValueError")

    assert {one.id for one in await face.items("list_dead_letters", error="Timeout", page_size=1)} == set(slow)
    letter = await face.call("get_dead_letter", slow[0])
    assert (letter.status, letter.errors[0].error, letter.etag[:1]) == ("dead", "TimeoutError", '"')
    again = await face.call("replay", slow[0], delay="1h", body="other", retry={"max_attempts": 9})
    assert (again.body, again.retry.max_attempts) == ("other", 9)
    assert (await face.call("replay_many", error="Timeout", change={"delay": "1h", "body": b"b"}, dry_run=True)).affected == 2
    assert (await face.call("replay_many", error="Timeout", change={"delay": "1h", "body": b"b"})).affected == 2
    assert (await face.call("get", slow[1])).body_bytes == b"b"
    assert (await face.call("delete_dead_letter", broken[0])).status == "deleted"
    assert (await face.call("delete_many", topic="work")).affected == 1
    with pytest.raises(NotFound):
        await face.call("get_dead_letter", broken[1])


async def test_topics_are_looked_at_paused_and_resumed(face: Face) -> None:
    """What lies where, and whether it is paused."""
    await scheduled(face, 2)

    assert [one.topic for one in (await face.call("list_topics")).items] == ["echo", "webhook", "work"]
    assert (await face.call("pause_topic", "work")).paused is True
    found = await face.call("get_topic", "work")
    assert (found.scheduled, found.overdue, found.next_due_at, found.paused) == (2, 0, AT, True)
    assert (await face.call("resume_topic", "work")).paused is False
    with pytest.raises(NotFound):
        await face.call("get_topic", "nobody")


async def test_flow_keys_get_limits_and_are_paused(face: Face) -> None:
    """What each may do and holds, one by one and as a list in pages."""
    limited = await face.call("set_flow_limit", "work", "customer/7", rate=10, period=timedelta(seconds=2), concurrency=3)
    assert (limited.rate, limited.period, limited.concurrency, limited.own_limit) == (10, "2s", 3, True)
    assert (await face.call("pause_flow_key", "work", "customer/7")).paused is True
    assert (await face.call("resume_flow_key", "work", "customer/7")).paused is False
    await face.call("set_flow_limit", "work", "b", concurrency=1)

    assert [one.flow_key for one in await face.items("list_flow_keys", "work", page_size=1)] == ["b", "customer/7"]
    found = await face.call("get_flow_key", "work", "customer/7")
    assert (found.running, found.waiting, found.recent) == (0, 0, 0)
    gone = await face.call("unset_flow_limit", "work", "customer/7")
    assert (gone.rate, gone.own_limit) == (None, False)
    with pytest.raises(Invalid, match="rate"):
        await face.call("set_flow_limit", "work", "b", period=1)


async def test_a_message_has_a_priority_that_can_be_changed(face: Face) -> None:
    """When it is made, and while it waits."""
    made = await face.call("schedule", "work", delay="1d", priority="high")

    assert (await face.call("get", made.id)).priority == "high"
    assert (await face.call("change", made.id, priority="low")).priority == "low"
