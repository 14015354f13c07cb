"""``/topics``: what lies where, who works on it, and the pause of one."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared.store.partition import Store
from tests.producer.api import Api, assert_problem
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves("due", "index", "stream", "paused", "finished")


async def test_a_topic_tells_what_lies_where(api: Api, stages: Stages, store: Store) -> None:
    """Scheduled, overdue, ready, running, how late the oldest is, and who reads it."""
    await api.accepted("/messages", {"topic": "work", "deliver_at": "2035-01-01T00:00:00Z"})
    for _ in range(3):
        await api.accepted("/messages", {"topic": "work"})
    assert await stages.dispatch("work", limit=2) == 2
    await stages.deliveries.create_groups()
    (held,) = await stages.deliveries.read({"work": 1})

    found = (await api.get("/topics/work")).json

    assert (found["scheduled"], found["overdue"], found["ready"], found["running"]) == (2, 1, 1, 1)
    assert (found["configured"], found["paused"]) == (True, False)
    assert 0 <= found["lateness_ms"] <= store.partitions[0].clock.now_ms() - held.due_ms
    assert [(worker["name"], worker["running"]) for worker in found["workers"]] == [("worker-1", 1)]
    assert [one["topic"] for one in (await api.get("/topics")).json["items"]] == ["echo", "webhook", "work"]


async def test_an_empty_topic_is_shown_and_an_unknown_one_is_not_found(api: Api) -> None:
    """Those of the settings are always there."""
    assert (await api.get("/topics/echo")).json == {
        "topic": "echo", "configured": True, "paused": False, "scheduled": 0, "overdue": 0, "ready": 0,
        "running": 0, "lateness_ms": 0, "accepted_per_second": 0.0, "delivered_per_second": 0.0, "failed_per_second": 0.0,
    }  # fmt: skip
    for way in ("", "/pause", "/resume"):
        assert_problem(await api.call("POST" if way else "GET", f"/topics/nobody{way}"), 404, says="no topic 'nobody'")


async def test_pause_and_resume_may_be_repeated(api: Api, redis: Redis, prefix: str) -> None:
    """Both say what holds now; nothing is left behind, and messages are accepted meanwhile."""
    for way, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = await api.post(f"/topics/work/{way}")
        assert (answer.status, answer.json["paused"]) == (200, paused)
        await api.accepted("/messages", {"topic": "work", "delay": "1h"})
    assert await redis.exists(f"{prefix}:{{0}}:paused") == 0
