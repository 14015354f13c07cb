"""``/topics/{topic}/flow-keys`` over HTTP: limits, counters, pause and resume; and why a message waits."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from shared.settings import Settings
from shared.store import flow
from shared.store.partition import Store
from tests.producer.api import Api

pytestmark = pytest.mark.leaves("due", "index", "flow:", "stream")

KEYS = "/topics/work/flow-keys"


async def due(api: Api, flow_key: str, count: int) -> list[str]:
    answer = await api.post("/messages/batch", [{"topic": "work", "flow_key": flow_key, "deliver_at": 1_000}] * count)
    assert answer.status == 202, answer.content
    return list(answer.json["ids"])


async def admit(settings: Settings) -> None:
    """What a dispatcher does."""
    store = Store(settings, "dispatcher")
    await store.synchronise()
    try:
        await flow.admit(store.partitions[0], settings.all_topics()["work"], "work:limited", 100, 1000)
    finally:
        await store.close()


async def test_a_limit_is_set_shown_and_taken_away(api: Api) -> None:
    """A rate, a concurrency or both; a repeat changes nothing."""
    unused = {"topic": "work", "flow_key": "a", "own_limit": False, "paused": False, "running": 0, "waiting": 0, "recent": 0}
    assert (await api.get(f"{KEYS}/a")).json == unused
    for sent, shown in (
        ({"rate": 10}, {"rate": 10, "period": "1s"}),
        ({"rate": 10, "period": "1m"}, {"rate": 10, "period": "1m"}),
        ({"rate": 10, "period": 0.25, "concurrency": 2}, {"rate": 10, "period": "250ms", "concurrency": 2}),
        ({"concurrency": 1}, {"concurrency": 1}),
    ):
        for _ in range(2):
            answer = await api.call("PUT", f"{KEYS}/a", sent)
            assert (answer.status, answer.json) == (200, {**unused, **shown, "own_limit": True})

    assert (await api.call("DELETE", f"{KEYS}/a")).json == unused
    assert (await api.get(KEYS)).json == {"items": []}


@pytest.mark.parametrize(
    ("sent", "field", "expected"),
    [
        ({}, "", "at least one of rate and concurrency"),
        ({"period": "1s"}, "", "at least one"),
        ({"concurrency": 1, "period": "1s"}, "period", "rate beside it"),
        ({"rate": 0}, "rate", ">= 1"),
        ({"rate": 1, "period": 0}, "period", "a millisecond to a day"),
        ({"rate": 1, "period": "25h"}, "period", "a millisecond to a day"),
        ({"rate": 1, "period": "soon"}, "period", "expected"),
        ({"concurrency": 1.5}, "concurrency", "int"),
        ({"speed": 1}, "speed", "no such field"),
    ],
)
async def test_a_limit_that_is_none_is_refused(api: Api, sent: dict[str, Any], field: str, expected: str) -> None:
    """With the field at fault; nothing is set."""
    answer = await api.call("PUT", f"{KEYS}/a", sent)

    assert (answer.status, answer.json.get("field", "")) == (422, field)
    assert expected in answer.json["detail"]
    assert (await api.get(KEYS)).json == {"items": []}


async def test_what_cannot_be_is_not_found(api: Api) -> None:
    """A topic that is not configured, and a key that no message can have."""
    assert (await api.get("/topics/nobody/flow-keys")).status == 404
    assert (await api.get("/topics/nobody/flow-keys/a")).status == 404
    assert (await api.call("PUT", f"{KEYS}/a%20b", {"rate": 1})).status == 404
    assert (await api.call("POST", f"{KEYS}/{'x' * 129}/pause")).status == 404
    assert (await api.get(f"{KEYS}?limit=0")).json["field"] == "limit"
    assert (await api.get(f"{KEYS}?cursor=a%20b")).json["field"] == "cursor"
    assert (await api.get(f"{KEYS}?key=a")).json["field"] == "key"


async def test_the_counters_live_and_a_message_says_why_it_waits(api: Api, settings: Settings, redis: Redis, prefix: str) -> None:
    """How many are let through and how many wait; the topic counts those as well."""
    await api.call("PUT", f"{KEYS}/customer%2F7", {"concurrency": 2, "rate": 5, "period": "1h"})
    ids = await due(api, "customer/7", 5)
    await admit(settings)

    shown = (await api.get(f"{KEYS}/customer%2F7")).json
    assert (shown["running"], shown["waiting"], shown["recent"]) == (2, 3, 2)
    assert [one["flow_key"] for one in (await api.get(KEYS)).json["items"]] == ["customer/7"]
    topic = (await api.get("/topics/work")).json
    assert (topic["scheduled"], topic["overdue"], topic["limited"], topic["ready"]) == (3, 3, 3, 2)
    states = [(await api.get(f"/messages/{one}")).json["status"] for one in ids]
    assert sorted(states) == ["ready"] * 2 + ["scheduled"] * 3
    listed = (await api.get("/messages?topic=work")).json["items"]
    assert {one["id"] for one in listed} == {one for one, state in zip(ids, states, strict=True) if state == "scheduled"}


@pytest.mark.parametrize("what", ["limited", "paused"])
async def test_a_late_message_tells_of_its_flow_key(api: Api, settings: Settings, redis: Redis, prefix: str, what: str) -> None:
    """Whether it is paused, or how much of it runs and waits."""
    if what == "paused":
        await api.call("POST", f"{KEYS}/a/pause")
    else:
        await api.call("PUT", f"{KEYS}/a", {"concurrency": 1})
    await due(api, "a", 2)
    await admit(settings)
    parked = f"{prefix}:{{0}}:due:work:parked"
    found: Any = await redis.zrevrange(parked, 0, 0, withscores=True)
    ((member, score),) = found
    message_id = member.split(b" ")[0].decode()
    await redis.zadd(parked, {member: score - 5_000})  # due five seconds ago
    await redis.hset(f"{prefix}:{{0}}:index", message_id, f"due {score - 5_000:.17g} 0")

    why = (await api.get(f"/messages/{message_id}")).json["why"]

    expected = "its flow key a is paused" if what == "paused" else "it waits for a place of its flow key a: 1 of its messages"
    assert why.startswith(expected)


async def test_a_key_is_paused_and_resumed(api: Api, settings: Settings) -> None:
    """Accepting goes on; a pause outlives its limit."""
    paused = await api.call("POST", f"{KEYS}/a/pause")
    assert (paused.status, paused.json["paused"]) == (200, True)
    await due(api, "a", 2)
    await admit(settings)
    assert (await api.get(f"{KEYS}/a")).json["waiting"] == 2

    resumed = await api.call("POST", f"{KEYS}/a/resume")
    assert (resumed.status, resumed.json["paused"]) == (200, False)
    await admit(settings)
    assert (await api.get("/topics/work")).json["ready"] == 2


async def test_a_long_list_comes_in_pages(api: Api) -> None:
    """Each key once."""
    for number in range(5):
        await api.call("PUT", f"{KEYS}/k{number}", {"rate": 1})

    found, cursor = [], ""
    while True:
        page = (await api.get(f"{KEYS}?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json
        found += [one["flow_key"] for one in page["items"]]
        cursor = page.get("next_cursor", "")
        if not cursor:
            break

    assert found == [f"k{number}" for number in range(5)]
