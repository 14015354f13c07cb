"""``GET /messages/{id}``: what has become of a message, step by step, and why it is late."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.ids import make_id, score_for
from shared.record import Record, encode_record
from shared.store.partition import Store
from shared.times import parse_time_ms
from tests.producer.api import Api
from tests.producer.stages import Stages
from tests.support.waiting import eventually

HOUR_MS = 3_600_000
pytestmark = pytest.mark.leaves("due", "index", "stream", "finished", "errors", "dead", "paused")


async def events(api: Api, message_id: str) -> list[str]:
    return [one["event"] for one in (await api.message(message_id))["timeline"]]


async def test_each_step_is_told_in_the_order_of_time(api: Api, stages: Stages) -> None:
    """From its creation through a failed attempt to its delivery: when, by whom, with what error; also after it is over.

    The hands of the test date an attempt a few milliseconds ahead, so what comes close to it may stand on either side.
    """
    made = await api.accepted("/messages", {"topic": "work"})
    assert await events(api, made["id"]) == ["created", "due"]
    await stages.dispatch("work")
    assert await events(api, made["id"]) == ["created", "due", "dispatched"]
    (entry,) = await stages.read("work")
    assert await events(api, made["id"]) == ["created", "due", "dispatched"]
    await stages.fail(entry, "ValueError: no", 0)
    assert sorted(await events(api, made["id"])) == ["attempt", "created", "due"]
    await stages.finish(await stages.run("work"))

    shown = await api.message(made["id"])
    assert sorted(one["event"] for one in shown["timeline"]) == ["attempt", "attempt", "created", "delivered", "due"]
    assert [shown["timeline"][0]["event"], shown["timeline"][-1]["event"]] == ["created", "delivered"]
    failed, succeeded = [one for one in shown["timeline"] if one["event"] == "attempt"]
    due, delivered = next(one for one in shown["timeline"] if one["event"] == "due"), shown["timeline"][-1]
    assert failed == {
        "at": shown["errors"][0]["started_at"], "event": "attempt", "attempt": 1, "until": shown["errors"][0]["ended_at"],
        "worker": "worker-1", "error": "ValueError: no", "retry_at": shown["errors"][0]["ended_at"],
    }  # fmt: skip
    assert (due["at"], delivered["at"]) == (shown["deliver_at"], shown["settled_at"])
    assert (succeeded["at"], succeeded["attempt"], succeeded["worker"]) == (shown["started_at"], 2, "worker-1")
    assert [one["at"] for one in shown["timeline"]] == sorted(one["at"] for one in shown["timeline"])


async def test_each_failed_attempt_tells_when_the_next_was_due(api: Api, stages: Stages) -> None:
    """By its end and its wait; exactly, where the message waits for it; and not a word where none was to follow."""
    message_id = (await api.accepted("/messages", {"topic": "work"}))["id"]
    await stages.fail(await stages.run("work"), "first", 20)
    await eventually(lambda: stages.dispatch("work"), what="it is due again")
    (entry,) = await stages.read("work")
    await stages.fail(entry, "second", HOUR_MS)

    waiting = await api.message(message_id)
    first, second = waiting["errors"]
    assert parse_time_ms(first["retry_at"]) == parse_time_ms(first["ended_at"]) + 20
    assert second["retry_at"] == waiting["deliver_at"]
    assert _retries(waiting) == [first["retry_at"], second["retry_at"]]

    assert (await api.post(f"/messages/{message_id}/deliver")).status == 202
    await stages.bury(await stages.run("work"), "told so", "third")
    dead = (await api.get(f"/dead-letters/{message_id}")).json
    assert [one.get("retry_at") for one in dead["errors"]] == _retries(dead)
    assert parse_time_ms(dead["errors"][1]["retry_at"]) == parse_time_ms(second["ended_at"]) + HOUR_MS
    assert _retries(dead)[::2] == [first["retry_at"], None]


def _retries(shown: Any) -> list[Any]:
    attempts = [one for one in shown["timeline"] if one["event"] == "attempt"]
    return [one.get("retry_at") for one in sorted(attempts, key=lambda one: one["attempt"])]


async def test_an_error_of_an_earlier_release_tells_no_next_time(api: Api, stages: Stages, redis: Redis, prefix: str) -> None:
    """What was not written down then is not known now; all else is shown."""
    message_id = (await api.accepted("/messages", {"topic": "work"}))["id"]
    await stages.fail(await stages.run("work"), "no", HOUR_MS)
    errors = f"{prefix}:{{0}}:errors:{message_id}"
    stored = json.loads((await redis.lrange(errors, 0, 0))[0])
    assert stored.pop("delay_ms") == HOUR_MS
    await redis.lset(errors, 0, json.dumps(stored))

    (error,) = (await api.message(message_id))["errors"]

    assert (error["error"], "retry_at" in error) == ("no", False)


async def test_a_dead_letter_ends_with_its_reason(api: Api, stages: Stages) -> None:
    """In the list of dead letters as well as alone."""
    made = await api.accepted("/messages", {"topic": "work"})
    await stages.bury(await stages.run("work"), "told so", "no")

    for path in ("messages", "dead-letters"):
        shown = (await api.get(f"/{path}/{made['id']}")).json
        assert sorted(one["event"] for one in shown["timeline"]) == ["attempt", "created", "dead", "due"]
        assert {"at": shown["settled_at"], "event": "dead", "error": "told so"} in shown["timeline"]


async def test_what_is_cancelled_keeps_its_failed_attempts(api: Api, stages: Stages) -> None:
    """Whoever asks why sees what it had come to."""
    made = await api.accepted("/messages", {"topic": "work"})
    await stages.fail(await stages.run("work"), "no", 3_600_000)
    await api.call("DELETE", f"/messages/{made['id']}")

    shown = await api.message(made["id"])
    assert (shown["status"], shown["errors"][0]["error"]) == ("cancelled", "no")
    assert {one["event"] for one in shown["timeline"]} == {"attempt", "due", "cancelled"}


async def _late(redis: Redis, prefix: str, store: Store) -> str:
    """A message that has been due for a minute."""
    due_ms = store.partitions[0].clock.now_ms() - 60_000
    message_id = make_id("work", 0, due_ms, 7)
    record = encode_record(Record(message_id, due_ms - 1, "text", b"x"))
    await redis.zadd(f"{prefix}:{{0}}:due:work", {record: score_for(message_id, due_ms)})
    return message_id


async def test_why_it_is_late(api: Api, stages: Stages, redis: Redis, prefix: str, store: Store) -> None:
    """Nobody to run it; paused; a dispatcher that does not come; workers that are busy; and not a word where it is in time."""
    message_id = await _late(redis, prefix, store)

    async def why() -> Any:
        return (await api.message(message_id)).get("why", "")

    assert await why() == "no worker has asked for its topic for 10 s"
    await api.post("/topics/work/pause")
    assert await why() == "its topic is paused"
    await api.post("/topics/work/resume")
    await stages.read("work")
    assert await why() == "it waits to be dispatched: 1 of its topic are due, 0 are ready"
    await stages.dispatch("work")
    assert await why() == "the workers of its topic are busy: 1 are ready, 0 run"
    (entry,) = await stages.read("work")
    assert await why() == ""
    await stages.finish(entry)
    assert await why() == ""
    punctual = await api.accepted("/messages", {"topic": "work", "delay": "1h"})
    assert "why" not in await api.message(punctual["id"])


async def test_a_message_that_is_due_now_is_not_late_yet(api: Api) -> None:
    """For a second nobody asks why; then the answer says it."""
    made = await api.accepted("/messages", {"topic": "work"})
    assert "why" not in await api.message(made["id"])

    async def told() -> bool:
        return "why" in await api.message(made["id"])

    await eventually(told, within_s=5, what="it is late")
