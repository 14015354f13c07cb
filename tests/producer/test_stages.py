"""``GET /messages/{id}`` tells the truth at every stage, and what may be done at each."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared.times import parse_time_ms
from tests.producer.api import Api, assert_problem, stored
from tests.producer.stages import Stages
from tests.support.waiting import eventually


async def scheduled(api: Api, topic: str = "echo", **more: object) -> str:
    """The id of a new message, due at once unless told otherwise."""
    told = await api.accepted("/messages", {"topic": topic, "body": "b", **more})
    return str(told["id"])


@pytest.mark.leaves("due")
async def test_a_waiting_message_is_scheduled(api: Api) -> None:
    """Until its time it is scheduled, with no attempt made."""
    message_id = await scheduled(api, deliver_at="2030-06-01T12:00:00Z")

    shown = await api.message(message_id)

    assert (shown["status"], shown["attempts"], shown["deliver_at"]) == ("scheduled", 0, "2030-06-01T12:00:00.000Z")
    assert "errors" not in shown


async def test_a_message_is_ready_running_and_delivered(api: Api, stages: Stages) -> None:
    """Dispatched: ready. Read: running, by whom. Settled: delivered, with its times, and its body is gone."""
    message_id = await scheduled(api)

    assert await stages.dispatch() == 1
    assert (await api.message(message_id))["status"] == "ready"

    (entry,) = await stages.read()
    running = await api.message(message_id)
    assert (running["status"], running["worker"], running["body"]) == ("running", "worker-1", "b")

    await stages.finish(entry)
    delivered = await api.message(message_id)
    assert (delivered["status"], delivered["attempts"], delivered["worker"]) == ("delivered", 1, "worker-1")
    assert delivered["created_at"] <= delivered["deliver_at"] <= delivered["started_at"] < delivered["settled_at"]
    assert delivered["lateness_ms"] == parse_time_ms(delivered["started_at"]) - parse_time_ms(delivered["deliver_at"])
    assert "body" not in delivered


@pytest.mark.leaves("due", "index", "errors")
async def test_a_failed_message_is_retrying_at_its_next_time(api: Api, stages: Stages) -> None:
    """After a failure it waits for its next attempt, and says what went wrong, when and where."""
    message_id = await scheduled(api)
    entry = await stages.run()

    await stages.fail(entry, "ValueError: no such address", delay_ms=3_600_000)

    shown = await api.message(message_id)
    assert (shown["status"], shown["attempts"]) == ("retrying", 1)
    wait_ms = parse_time_ms(shown["deliver_at"]) - parse_time_ms(shown["created_at"])
    assert 3_600_000 <= wait_ms < 3_660_000
    (error,) = shown["errors"]
    assert (error["attempt"], error["error"], error["worker"]) == (1, "ValueError: no such address", "worker-1")
    assert error["started_at"] < error["ended_at"]


async def test_each_attempt_of_a_retried_message_is_kept(api: Api, stages: Stages) -> None:
    """Ready and running again count the attempts before; delivered at last, it counts them all."""
    message_id = await scheduled(api)
    await stages.fail(await stages.run(), "first", delay_ms=0)
    assert await stages.dispatch() == 1
    ready = await api.message(message_id)
    assert (ready["status"], ready["attempts"]) == ("ready", 1)
    (entry,) = await stages.read()

    running = await api.message(message_id)
    assert (running["status"], running["attempts"], [one["error"] for one in running["errors"]]) == ("running", 1, ["first"])

    await stages.finish(entry)
    assert (await api.message(message_id))["attempts"] == 2


@pytest.mark.leaves("dead", "index")
async def test_a_dead_message_says_why(api: Api, stages: Stages) -> None:
    """Buried: dead, with the reason, every error and the body for whoever repairs it."""
    message_id = await scheduled(api)
    await stages.fail(await stages.run(), "first", delay_ms=0)

    await stages.bury(await stages.run(), "all 2 attempts failed", "second")

    shown = await api.message(message_id)
    assert (shown["status"], shown["reason"], shown["attempts"]) == ("dead", "all 2 attempts failed", 2)
    assert [one["error"] for one in shown["errors"]] == ["first", "second"]
    assert shown["body"] == "b"
    assert shown["settled_at"] >= shown["created_at"]


async def test_an_expired_message_says_so(api: Api, stages: Stages) -> None:
    """What came too late for its own ``expires_at`` was not started."""
    message_id = await scheduled(api, expires_at="2030-06-01T12:00:00Z")

    await stages.finish(await stages.run(), "expired")

    shown = await api.message(message_id)
    assert (shown["status"], shown["attempts"]) == ("expired", 0)
    assert "started_at" not in shown
    assert "lateness_ms" not in shown


@pytest.mark.parametrize("stage", ["scheduled", "ready", "retrying"])
async def test_a_message_no_worker_holds_can_be_cancelled(
    api: Api, stages: Stages, redis: Redis, prefix: str, stage: str
) -> None:
    """With 200 it will not be delivered; a repeat gets the same answer; nothing of it is left but the outcome."""
    message_id = await scheduled(api)
    if stage == "ready":
        await stages.dispatch()
    if stage == "retrying":
        await stages.fail(await stages.run(), "first", delay_ms=0)
    assert (await api.message(message_id))["status"] == stage

    answers = [await api.call("DELETE", f"/messages/{message_id}") for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json == {"id": message_id, "status": "cancelled", "durability": "memory"}
    shown = await api.message(message_id)
    assert (shown["status"], shown["attempts"]) == ("cancelled", 1 if stage == "retrying" else 0)
    assert await stages.dispatch() == 0
    assert await stages.read() == []
    left = await stored(redis, prefix)
    assert {name: count for name, count in left.items() if count} == {"finished": 1, "finished:expiry": 1}


REFUSED = {
    "ready": ("change", "deliver"),
    "running": ("cancel", "change", "deliver", "replay"),
    "delivered": ("cancel", "change", "deliver", "replay"),
    "cancelled": ("change", "deliver", "replay"),
    "dead": ("cancel", "change", "deliver"),
    "scheduled": ("replay",),
}


@pytest.mark.leaves("due", "dead", "index", "stream")
@pytest.mark.parametrize("stage", REFUSED)
async def test_what_comes_too_late_is_refused_and_changes_nothing(api: Api, stages: Stages, stage: str) -> None:
    """409 says what was asked and in which state the message is."""
    message_id = await scheduled(api, **({"delay": "1h"} if stage == "scheduled" else {}))
    if stage == "ready":
        await stages.dispatch()
    if stage in {"running", "delivered", "dead"}:
        entry = await stages.run()
        if stage == "delivered":
            await stages.finish(entry)
        if stage == "dead":
            await stages.bury(entry, "told so", "no")
    if stage == "cancelled":
        await api.call("DELETE", f"/messages/{message_id}")
    before = await api.message(message_id)
    assert before["status"] == stage
    calls = {
        "cancel": ("DELETE", f"/messages/{message_id}", None),
        "change": ("PATCH", f"/messages/{message_id}", {"delay": 5}),
        "deliver": ("POST", f"/messages/{message_id}/deliver", None),
        "replay": ("POST", f"/dead-letters/{message_id}/replay", None),
    }

    for wanted in REFUSED[stage]:
        answer = await api.call(*calls[wanted])
        assert_problem(answer, 409, says=f"cannot {wanted}")
        assert answer.json["detail"].endswith(f"it is {stage}")

    assert await api.message(message_id) == before


@pytest.mark.leaves("due", "index", "labels")
async def test_time_and_body_can_be_changed_while_it_waits(api: Api, redis: Redis, prefix: str) -> None:
    """The id stays, what is absent stays, and the change is there in the answer and in Redis."""
    message_id = await scheduled(api, "work", deliver_at="2030-06-01T12:00:00Z", labels=["x"])

    moved = await api.call("PATCH", f"/messages/{message_id}", {"deliver_at": "2031-06-01T12:00:00.007Z"})
    rewritten = await api.call("PATCH", f"/messages/{message_id}", {"body": {"n": 1}, "content_type": "application/x-n"})

    assert (moved.status, moved.json["id"], moved.json["deliver_at"]) == (200, message_id, "2031-06-01T12:00:00.007Z")
    assert moved.json["body"] == "b"
    shown = await api.message(message_id)
    assert [one["event"] for one in shown.pop("timeline")] == ["created", "due"]
    assert rewritten.json == {**shown, "durability": "memory"}
    assert (shown["body"], shown["content_type"], shown["labels"]) == ({"n": 1}, "application/x-n", ["x"])
    assert (shown["deliver_at"], shown["created_at"]) == ("2031-06-01T12:00:00.007Z", moved.json["created_at"])
    assert await redis.zcard(f"{prefix}:{{0}}:due:work") == 1


@pytest.mark.leaves("due", "index")
async def test_both_can_be_changed_at_once_and_back(api: Api, stages: Stages) -> None:
    """A delay counts from now; a time in the past means now: then the dispatcher takes it."""
    message_id = await scheduled(api, deliver_at="2030-06-01T12:00:00Z")

    both = (await api.call("PATCH", f"/messages/{message_id}", {"delay": "1h", "body_base64": "AAE="})).json
    now = (await api.call("PATCH", f"/messages/{message_id}", {"deliver_at": 0})).json

    assert parse_time_ms(both["deliver_at"]) - parse_time_ms(both["created_at"]) >= 3_600_000
    assert both["body_base64"] == "AAE="
    assert now["deliver_at"] < both["deliver_at"]
    await stages.finish(await stages.run())


@pytest.mark.parametrize(
    ("content", "field", "says"),
    [
        ({}, "", "at least one of"),
        ({"content_type": "text/csv"}, "content_type", "body beside it"),
        ({"deliver_at": "later"}, "deliver_at", "ISO 8601"),
        ({"deliver_at": 1, "delay": 1}, "delay", "one of deliver_at"),
        ({"body": 1, "body_base64": "AA=="}, "body_base64", "not both"),
        ({"topic": "work"}, "topic", "no such field"),
        ({"delay": "3651d"}, "delay", "Producer.HorizonDays"),
        ({"body": "m" * (2**20 + 1)}, "body", "Producer.MaxBodyBytes"),
    ],
)
@pytest.mark.leaves("due")
async def test_a_bad_change_is_refused_and_changes_nothing(api: Api, content: object, field: str, says: str) -> None:
    """The message stays as it was."""
    message_id = await scheduled(api, deliver_at="2030-06-01T12:00:00Z")
    before = await api.message(message_id)

    answer = await api.call("PATCH", f"/messages/{message_id}", content)

    assert_problem(answer, 413 if field == "body" else 422, field, says=says)
    assert await api.message(message_id) == before


async def test_deliver_now_makes_it_due_at_once(api: Api, stages: Stages) -> None:
    """What would have waited for years is taken by the very next pass of the dispatcher."""
    message_id = await scheduled(api, deliver_at="2035-06-01T12:00:00Z")
    assert await stages.dispatch() == 0

    answer = await api.post(f"/messages/{message_id}/deliver")

    assert (answer.status, answer.json["status"], answer.json["id"]) == (202, "scheduled", message_id)
    assert answer.json["deliver_at"] < "2035"
    await eventually(stages.dispatch)
    (entry,) = await stages.read()
    await stages.finish(entry)
    assert (await api.message(message_id))["lateness_ms"] >= 0
