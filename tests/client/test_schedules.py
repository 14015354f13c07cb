"""Every call about recurring schedules, through both clients, against a real producer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from client import CallbackOf, Conflict, NotFound, RetryPolicy, Run, ScheduleDeleted, ScheduledMessage
from tests.client.faces import Face

pytestmark = pytest.mark.leaves("schedule", "due")

START = datetime(2035, 3, 24, tzinfo=UTC)
NIGHTLY: dict[str, Any] = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "start": START}
MESSAGE: dict[str, Any] = {
    "topic": "work", "body": b"\xff", "content_type": "image/png", "expires_after": timedelta(hours=1, minutes=30),
    "spread": 60, "retry": {"max_attempts": 2}, "deadline_ms": 5, "retention_ms": 6, "labels": ["a"], "headers": {"X": "y"},
    "flow_key": "k", "ordered": True,
}  # fmt: skip


async def test_a_schedule_is_made_with_every_field(face: Face) -> None:
    """What was given is what the service keeps, and comes back as Python values, with the runs to come."""
    made = await face.call(
        "create_schedule", "nightly", **NIGHTLY, end=START + timedelta(days=9), message=MESSAGE, max_runs=3, overlap="skip",
        catch_up="all", catch_up_within=timedelta(minutes=5), paused=False,
    )  # fmt: skip

    kept = await face.call("get_schedule", "nightly")
    assert (made.id, made.status, made.cron, made.timezone) == ("nightly", "active", "30 2 * * *", "Europe/Berlin")
    assert (made.start, made.end, made.max_runs) == (START, START + timedelta(days=9), 3)
    assert (made.overlap, made.catch_up, made.catch_up_within, made.durability) == ("skip", "all", "5m", "memory")
    assert made.message == ScheduledMessage(
        topic="work", body_bytes=b"\xff", content_type="image/png", expires_after="1h30m", spread="1m",
        retry=RetryPolicy(max_attempts=2), deadline_ms=5, retention_ms=6, labels=("a",), headers={"X": "y"}, flow_key="k",
        ordered=True,
    )  # fmt: skip
    assert [run.at_local.isoformat() for run in kept.next_runs[:2]] == ["2035-03-24T02:30:00+01:00", "2035-03-25T03:00:00+02:00"]
    assert (kept.next_run, kept.past_runs, kept.etag) == (made.next_run, (), made.etag)


async def test_a_schedule_of_webhooks_shows_where_they_go(face: Face) -> None:
    """And who is told of them; what it shows may be given again."""
    message: dict[str, Any] = {"topic": "webhook", "url": "https://example.com/hook", "method": "PUT",
               "callback": {"url": "https://example.com/done", "delay": timedelta(minutes=1)}}  # fmt: skip

    made = await face.call("create_schedule", "hooks", every="1d", message=message)

    callback = CallbackOf(url="https://example.com/done", method="POST", delay="1m")
    assert made.message == ScheduledMessage(topic="webhook", body="", url=message["url"], method="PUT", callback=callback)


async def test_without_an_id_one_is_made_up_and_the_key_finds_it_again(face: Face) -> None:
    """A schedule that is made twice with one key is one."""
    asked: dict[str, Any] = {"every": 3600, "message": {"topic": "work"}, "idempotency_key": "order-17"}

    first, again = [await face.call("create_schedule", **asked) for _ in range(2)]

    assert first.every == "1h"
    assert again.id == first.id
    assert [one.id for one in await face.items("list_schedules")] == [first.id]


async def test_an_id_that_is_taken_is_a_conflict(face: Face) -> None:
    """Two programs that make one of the same id hear of each other: each call has a key of its own."""
    await face.call("create_schedule", "a", every="1h", message={"topic": "work"})

    with pytest.raises(Conflict):
        await face.call("create_schedule", "a", every="1h", message={"topic": "work"})


async def test_a_schedule_is_put_changed_paused_and_resumed(face: Face) -> None:
    """Each answer is the schedule as it is then; ``None`` takes a field away."""
    put = await face.call("put_schedule", "a", **NIGHTLY, max_runs=3, message=MESSAGE)
    changed = await face.call("change_schedule", "a", max_runs=None, cron="0 3 * * *", message={"topic": "echo"})
    paused = await face.call("pause_schedule", "a")
    resumed = await face.call("resume_schedule", "a")

    assert (put.max_runs, changed.max_runs) == (3, None)
    assert (changed.cron, changed.start, changed.message) == ("0 3 * * *", START, ScheduledMessage(topic="echo", body=""))
    assert [one.status for one in (put, changed, paused, resumed)] == ["active", "active", "paused", "active"]
    assert paused.next_run is None
    assert resumed.next_run == datetime(2035, 3, 24, 2, tzinfo=UTC)


async def test_a_run_beside_the_rule_is_a_message(face: Face) -> None:
    """It names its schedule, and the schedule names it."""
    await face.call("put_schedule", "a", **NIGHTLY, message={"topic": "work", "body": "x"})

    ran = await face.call("run_schedule", "a")

    message = await face.call("get", ran.message_id)
    assert (message.schedule, message.occurrence, message.body) == ("a", ran.at, "x")
    (past,) = (await face.call("get_schedule", "a")).past_runs
    assert (past.message_id, past.at) == (ran.message_id, ran.at)


async def test_a_schedule_is_deleted_once(face: Face) -> None:
    """One that is not there is not found, also by the call that deletes: no answer was lost here."""
    await face.call("put_schedule", "a", **NIGHTLY, message={"topic": "work"})

    assert await face.call("delete_schedule", "a") == ScheduleDeleted(id="a", status="deleted", durability="memory")
    for name in ("delete_schedule", "get_schedule"):
        with pytest.raises(NotFound) as error:
            await face.call(name, "a")
        assert error.value.maybe_done is False


async def test_schedules_are_listed_over_all_pages(face: Face) -> None:
    """In the order of their ids, each once; of one topic or status."""
    for n in range(5):
        await face.call("put_schedule", f"s{n}", **NIGHTLY, message={"topic": "work" if n % 2 else "echo"}, paused=n == 4)

    assert [one.id for one in await face.items("list_schedules", page_size=2)] == ["s0", "s1", "s2", "s3", "s4"]
    assert [one.id for one in await face.items("list_schedules", topic="echo", page_size=1)] == ["s0", "s2", "s4"]
    assert [one.id for one in await face.items("list_schedules", status="paused")] == ["s4"]


@pytest.mark.leaves
async def test_a_rule_is_previewed(face: Face) -> None:
    """The next runs, also right across a change of the clocks; nothing is stored."""
    told = await face.call("preview_schedule", cron="30 2 * * *", timezone="Europe/Berlin", after=START, count=2)

    first, second = told.runs
    assert first == Run(at=datetime(2035, 3, 24, 1, 30, tzinfo=UTC), at_local=first.at)
    assert second.at_local.isoformat() == "2035-03-25T03:00:00+02:00"
    assert await face.items("list_schedules") == []
