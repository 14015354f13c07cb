"""Health, and what the API does while Redis is out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from cli.server import BundledServer
from shared.settings import RedisSettings, Settings
from shared.store.chunks import CHUNK_MESSAGES
from shared.version import VERSION
from tests.producer.api import Api, assert_problem
from tests.producer.conftest import OpenApi
from tests.producer.cutting import CuttingProxy
from tests.producer.stages import Stages
from tests.support.server import private_server
from tests.support.waiting import eventually


async def ready(api: Api) -> bool:
    return (await api.get("/health/ready")).status == 200


async def test_a_producer_with_redis_is_alive_and_becomes_ready(api: Api) -> None:
    """Liveness says nothing of Redis; readiness is green with no reason once Redis has answered."""
    assert (await api.get("/health/live")).json == {"status": "ok"}

    await eventually(lambda: ready(api))

    assert (await api.get("/health/ready")).json == {"status": "ok"}


@pytest.mark.leaves("due", "stream", "index")
async def test_health_tells_people_what_lies_where(api: Api, stages: Stages) -> None:
    """Version, server, and for each topic what waits, what is ready and what runs."""
    await eventually(lambda: ready(api))
    await api.accepted("/messages/batch", [{"topic": "work"}] * 3)
    await stages.dispatch("work")
    await stages.read("work")
    await api.accepted("/messages/batch", [{"topic": "work"}] * 2)
    await stages.dispatch("work")
    await api.accepted("/messages", {"topic": "work", "delay": "1h"})

    told = (await api.get("/health")).json

    assert (told["status"], told["version"]) == ("ok", VERSION)
    assert told["server"].split()[0] in {"redis", "valkey"}
    assert abs(told.get("clock_difference_ms", 0)) < 1000
    topics = {one["topic"]: one for one in told["topics"]}
    assert topics["work"] == {"topic": "work", "scheduled": 1, "ready": 2, "running": 3, "configured": True}
    assert topics["echo"] == {"topic": "echo", "scheduled": 0, "ready": 0, "running": 0, "configured": True}


@pytest.mark.leaves("due")
async def test_health_names_a_topic_that_left_the_settings(open_api: OpenApi, settings: Settings) -> None:
    """Its messages are kept, can still be looked at, and a warning says that they wait for nobody."""
    old = await open_api(settings)
    await eventually(lambda: ready(old))
    told = await old.accepted("/messages", {"topic": "work", "delay": "1h"})

    new = await open_api(msgspec.structs.replace(settings, topics=()))
    await eventually(lambda: ready(new))

    health = (await new.get("/health")).json
    assert {"topic": "work", "scheduled": 1, "ready": 0, "running": 0, "configured": False} in health["topics"]
    assert any("work" in warning for warning in health["warnings"])
    assert (await new.message(told["id"]))["status"] == "scheduled"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[BundledServer]:
    with private_server(tmp_path / "own") as server:
        yield server


async def test_while_redis_is_out_the_api_says_so_and_heals_by_itself(
    open_api: OpenApi, settings: Settings, own_server: BundledServer, prefix: str
) -> None:
    """503 with Retry-After and what happened; readiness red with a reason; all by itself green again; nothing is lost."""
    at_own = RedisSettings(connection_string=own_server.url, key_prefix=prefix, timeout_ms=500)
    api = await open_api(msgspec.structs.replace(settings, redis=at_own))
    await eventually(lambda: ready(api))
    kept = await api.accepted("/messages", {"topic": "work", "delay": "1h", "body": "kept"})
    path = f"/messages/{kept['id']}"

    own_server.stop()

    await _answers_out(api, path)
    await eventually(lambda: _red(api))
    assert (await api.get("/health/live")).status == 200
    health = await api.get("/health")
    assert (health.status, health.json["status"]) == (200, "unready")
    assert "Redis" in health.json["reasons"][0]
    await _answers_out(api, path)

    own_server.start()

    await eventually(lambda: ready(api))
    assert (await api.get("/health")).json["status"] == "ok"
    assert (await api.message(kept["id"]))["body"] == "kept"
    again = await api.accepted("/messages", {"topic": "work", "delay": "1h"})
    async with Redis.from_url(own_server.url) as client:
        assert await client.zcard(f"{prefix}:{{0}}:due:work") == 2, "what was answered 503 was not stored"
    assert (await api.message(again["id"]))["status"] == "scheduled"


async def _answers_out(api: Api, path: str) -> None:
    """Every call that needs Redis says that it is out."""
    calls = (
        ("POST", "/echoAtTime", {"time": 0, "message": "m"}),
        ("POST", "/messages", {"topic": "work"}),
        ("POST", "/messages/batch", [{"topic": "work"}, {"topic": "echo"}]),
        ("GET", path, None),
        ("PATCH", path, {"delay": 1}),
        ("DELETE", path, None),
        ("POST", f"{path}/deliver", None),
        ("GET", "/dead-letters", None),
        ("POST", f"/dead-letters/{path.rpartition('/')[2]}/replay", None),
    )
    for method, url, content in calls:
        answer = await api.call(method, url, content)
        assert_problem(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1


async def _red(api: Api) -> bool:
    answer = await api.get("/health/ready")
    return answer.status == 503 and answer.json["status"] == "unready" and "Redis" in answer.json["reasons"][0]


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "order-17"}])
async def test_what_a_full_redis_refused_was_certainly_not_stored(
    open_api: OpenApi, settings: Settings, own_server: BundledServer, prefix: str, key: dict[str, str]
) -> None:
    """The 503 says so and names no ids; with room again the same request is a first one."""
    at_own = RedisSettings(connection_string=own_server.url, key_prefix=prefix)
    api = await open_api(msgspec.structs.replace(settings, redis=at_own))
    await eventually(lambda: ready(api))
    calls = {"/messages": {"topic": "work"}, "/messages/batch": [{"topic": "work"}, {"topic": "echo"}]}
    async with Redis.from_url(own_server.url) as client:
        await client.config_set("maxmemory", 1)
        for path, content in calls.items():
            answer = await api.post(path, content, headers=key)
            assert_problem(answer, 503, says="nothing was stored")
            assert answer.headers["retry-after"] == "1"
            assert not {"ids", "idempotency_key"} & set(answer.json)

        await client.config_set("maxmemory", 0)
        assert await client.keys(f"{prefix}:*:due:*") == []
        assert "deduplicated" not in await api.accepted("/messages", calls["/messages"], headers=key)


async def test_a_batch_of_which_a_part_is_stored_is_never_called_not_stored(
    open_api: OpenApi, settings: Settings, own_server: BundledServer, prefix: str
) -> None:
    """Cut off after its first part, then repeated on a full Redis: the 503 still names the ids, and a third try completes."""
    content, key = (
        [{"topic": "work", "body": str(number)} for number in range(CHUNK_MESSAGES + 100)],
        {"Idempotency-Key": "order-17"},
    )
    async with CuttingProxy(own_server.url) as proxy, Redis.from_url(own_server.url) as client:
        at_own = RedisSettings(connection_string=proxy.url, key_prefix=prefix)
        api = await open_api(msgspec.structs.replace(settings, redis=at_own))
        await api.accepted("/messages", {"topic": "echo"})  # the script is loaded, the connection open
        proxy.cut_at_chunk(2, after_it_was_done=False)
        cut_off = await api.post("/messages/batch", content, headers=key)
        await client.config_set("maxmemory", 1)

        full = await api.post("/messages/batch", content, headers=key)

        assert_problem(full, 503, says="oom")
        assert full.json["ids"] == cut_off.json["ids"]
        assert await client.zcard(f"{prefix}:{{0}}:due:work") == CHUNK_MESSAGES
        await client.config_set("maxmemory", 0)
        assert (await api.accepted("/messages/batch", content, headers=key))["ids"] == full.json["ids"]
        assert await client.zcard(f"{prefix}:{{0}}:due:work") == CHUNK_MESSAGES + 100


async def test_a_refused_request_is_refused_also_while_redis_is_out(
    open_api: OpenApi, settings: Settings, own_server: BundledServer, prefix: str
) -> None:
    """What is wrong with a request does not depend on Redis: 422, and no reason to try again."""
    at_own = RedisSettings(connection_string=own_server.url, key_prefix=prefix, timeout_ms=500)
    own_server.stop()
    api = await open_api(msgspec.structs.replace(settings, redis=at_own))

    assert_problem(await api.post("/messages", {"topic": "nobody"}), 422, "topic")
    assert_problem(await api.get("/messages/nonsense"), 404)
    assert_problem(await api.post("/messages", {"topic": "work"}), 503)
    await eventually(lambda: _red(api))


async def test_a_producer_starts_without_redis_and_becomes_ready_with_it(
    open_api: OpenApi, settings: Settings, own_server: BundledServer, prefix: str
) -> None:
    """The order in which things start does not matter."""
    at_own = RedisSettings(connection_string=own_server.url, key_prefix=prefix, timeout_ms=500)
    own_server.stop()
    api = await open_api(msgspec.structs.replace(settings, redis=at_own))
    assert not await ready(api)

    own_server.start()

    await eventually(lambda: ready(api))
