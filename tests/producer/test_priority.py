"""Priority over HTTP: where such a message lies, that it stays there, and how it is changed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings, TopicSettings
from tests.producer.api import Api
from tests.producer.conftest import OpenApi

pytestmark = pytest.mark.leaves("due", "index", "labels")

LATER = "2030-06-01T12:00:00.000Z"


async def lanes_of(redis: Redis, prefix: str, topic: str = "work") -> dict[str, int]:
    """How many messages wait in each lane of a topic."""
    names = {"normal": topic, "high": f"{topic}:high", "low": f"{topic}:low"}
    return {level: int(await redis.zcard(f"{prefix}:{{0}}:due:{name}")) for level, name in names.items()}


async def new(api: Api, **fields: Any) -> Any:
    answer = await api.post("/messages", {"topic": "work", "deliver_at": LATER, **fields})
    assert answer.status == 202, answer.json
    return answer.json["id"]


async def test_each_level_waits_in_a_lane_of_its_own(api: Api, redis: Redis, prefix: str) -> None:
    """It is shown with its priority, found by its id, listed and counted whatever its lane."""
    ids = {level: await new(api, priority=level) for level in ("high", "normal", "low")}
    plain = await new(api)

    assert await lanes_of(redis, prefix) == {"normal": 2, "high": 1, "low": 1}
    for level, message_id in ids.items():
        assert (await api.get(f"/messages/{message_id}")).json["priority"] == level
    assert "priority" not in (await api.get(f"/messages/{plain}")).json
    listed = (await api.get("/messages?topic=work")).json["items"]
    assert {one["id"] for one in listed} == {plain, *ids.values()}
    assert (await api.get("/topics/work")).json["scheduled"] == 4


async def test_a_batch_is_stored_across_lanes(api: Api, redis: Redis, prefix: str) -> None:
    """In one request, all or none."""
    batch = [{"topic": "work", "deliver_at": LATER, "priority": level} for level in ("low", "high", "low", "normal")]

    answer = await api.post("/messages/batch", batch)

    assert answer.status == 202
    assert await lanes_of(redis, prefix) == {"normal": 1, "high": 1, "low": 2}


async def test_a_topic_gives_its_messages_a_priority(open_api: OpenApi, settings: Settings, redis: Redis, prefix: str) -> None:
    """Unless they ask for another one."""
    topics = (TopicSettings(name="work", handler="tests.system.recording", priority="low"),)
    api = await open_api(msgspec.structs.replace(settings, topics=topics))

    first, second = await new(api), await new(api, priority="normal")

    assert await lanes_of(redis, prefix) == {"normal": 1, "high": 0, "low": 1}
    assert (await api.get(f"/messages/{first}")).json["priority"] == "low"
    assert (await api.get(f"/messages/{second}")).json["priority"] == "normal"


async def test_a_waiting_message_changes_its_lane(api: Api, redis: Redis, prefix: str) -> None:
    """With or without another body or time; its id and everything else stay."""
    message_id = await new(api, body="hello", labels=["a"])

    raised = await api.call("PATCH", f"/messages/{message_id}", {"priority": "high"})

    assert (raised.status, raised.json["priority"], raised.json["body"]) == (200, "high", "hello")
    assert raised.json["deliver_at"] == LATER
    assert await lanes_of(redis, prefix) == {"normal": 0, "high": 1, "low": 0}
    both = await api.call("PATCH", f"/messages/{message_id}", {"priority": "low", "body": "bye", "delay": "1d"})
    assert (both.json["priority"], both.json["body"], both.json["labels"]) == ("low", "bye", ["a"])
    assert await lanes_of(redis, prefix) == {"normal": 0, "high": 0, "low": 1}
    body = await api.call("PATCH", f"/messages/{message_id}", {"body": "again"})
    assert (body.json["priority"], await lanes_of(redis, prefix)) == ("low", {"normal": 0, "high": 0, "low": 1})


@pytest.mark.parametrize("level", ["high", "low"])
async def test_a_message_with_a_priority_is_cancelled_and_delivered_now_like_any_other(
    api: Api, redis: Redis, prefix: str, level: str
) -> None:
    """Whatever its lane."""
    cancelled, hurried = await new(api, priority=level), await new(api, priority=level)

    assert (await api.call("DELETE", f"/messages/{cancelled}")).status == 200
    assert (await api.post(f"/messages/{hurried}/deliver", None)).status == 202

    assert (await lanes_of(redis, prefix))[level] == 1
    assert (await api.get(f"/messages/{cancelled}")).json["status"] == "cancelled"


async def test_a_priority_that_is_none_is_refused(api: Api) -> None:
    """With the field and what was expected."""
    answer = await api.post("/messages", {"topic": "work", "priority": "urgent"})

    assert (answer.status, answer.json["field"]) == (422, "priority")
