"""``Durability`` over HTTP: what was asked for is reached before the answer, or the answer says so and a repeat is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from cli.server import BundledServer
from shared.lifecycle import BAD_SETTINGS
from shared.settings import Durability, RedisSettings, Settings
from shared.store.partition import Store
from tests.producer.api import Answer, Api, assert_problem
from tests.producer.conftest import OpenApi
from tests.producer.stages import Stages
from tests.support.pair import private_pair
from tests.support.server import chosen_binary, private_server
from tests.support.waiting import eventually
from tests.system.service import Service

WAIT_MS = 300
CREATING: dict[str, Any] = {
    "/echoAtTime": {"time": "2030-06-01T12:00:00Z", "message": "m"},
    "/messages": {"topic": "work", "delay": "1h"},
    "/messages/batch": [{"topic": "work", "delay": "1h"}] * 600,
}
needs_waitaof = pytest.mark.skipif(chosen_binary() is not None, reason="another binary may be too old for WAITAOF")


@dataclass
class Scene:
    """A producer on a server of its own."""

    api: Api
    settings: Settings
    redis: Redis

    async def changing(self, *, delay: str = "1h") -> dict[str, tuple[str, str, Any]]:
        """A call of each changing kind, each on a message of its own that waits for it."""
        store = Store(self.settings, "test")
        await store.synchronise()
        stages = Stages(store)
        dead = (await self.api.accepted("/messages", {"topic": "work"}))["id"]
        await stages.bury(await stages.run("work"), "told so", "no")
        ids = [(await self.api.accepted("/messages", {"topic": "work", "delay": delay}))["id"] for _ in range(3)]
        await stages.close()
        await store.close()
        return {
            "change": ("PATCH", f"/messages/{ids[0]}", {"delay": "2h", "body": "changed"}),
            "cancel": ("DELETE", f"/messages/{ids[1]}", None),
            "deliver": ("POST", f"/messages/{ids[2]}/deliver", None),
            "replay": ("POST", f"/dead-letters/{dead}/replay", {"delay": "1h"}),
        }

    async def count(self) -> int:
        """How many messages wait."""
        base = f"{self.settings.redis.key_prefix}:{{0}}:due"
        return int(await self.redis.zcard(f"{base}:work")) + int(await self.redis.zcard(f"{base}:echo"))


async def opened(open_api: OpenApi, settings: Settings, server: BundledServer, prefix: str, **more: Any) -> Scene:
    redis = RedisSettings(connection_string=server.url, key_prefix=prefix, confirm_timeout_ms=WAIT_MS)
    own = msgspec.structs.replace(settings, redis=redis, **more)
    api = await open_api(own)

    async def ready() -> bool:
        return (await api.get("/health/ready")).status == 200

    await eventually(ready)
    return Scene(api, own, Redis.from_url(server.url))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[BundledServer]:
    """A server that writes its file once a second and has no replica."""
    with private_server(tmp_path / "alone", "--appendfsync", "everysec") as server:
        yield server


@pytest.fixture
async def lacking(open_api: OpenApi, settings: Settings, alone: BundledServer, prefix: str) -> AsyncIterator[Scene]:
    """Nothing beyond memory is reached in time: no replica is there, and the disk is not written to, which nobody may ask."""
    scene = await opened(open_api, settings, alone, prefix)
    await scene.redis.config_set("appendfsync", "no")
    await scene.redis.execute_command("ACL", "SETUSER", "default", "-config")  # type: ignore[no-untyped-call] # the library leaves it untyped
    yield scene
    await scene.redis.aclose()


LEVELS = ["memory", pytest.param("fsync", marks=needs_waitaof), "replica"]
BEYOND = [pytest.param("fsync", marks=needs_waitaof), "replica"]


@pytest.mark.parametrize("asked", LEVELS)
async def test_each_call_reaches_what_is_asked_and_says_so(
    open_api: OpenApi, settings: Settings, tmp_path: Path, prefix: str, asked: Durability
) -> None:
    """Scheduling in its three forms, change, cancel, deliver now, replay: the answer's ``durability`` is that of the header."""
    always = "always" if asked == "fsync" else "everysec"
    async with private_pair(tmp_path, "--appendfsync", always) as (master, _):
        scene = await opened(open_api, settings, master, prefix)
        calls = [("POST", path, content) for path, content in CREATING.items()] + list((await scene.changing()).values())

        answers = [await scene.api.call(*call, headers={"Durability": asked}) for call in calls]

        assert [answer.status for answer in answers] == [202, 202, 202, 200, 200, 202, 202]
        assert [answer.json["durability"] for answer in answers] == [asked] * 7
        await scene.redis.aclose()


@needs_waitaof
async def test_a_batch_of_ten_thousand_reaches_the_disk(
    open_api: OpenApi, settings: Settings, alone: BundledServer, prefix: str
) -> None:
    """Its chunks wait together, with a disk that is written once a second: all is stored, once, and safe."""
    patient = msgspec.structs.replace(settings.redis, connection_string=alone.url, key_prefix=prefix)
    api = await open_api(msgspec.structs.replace(settings, redis=patient))

    told = await api.accepted("/messages/batch", [{"topic": "work", "delay": "1h"}] * 10_000, headers={"Durability": "fsync"})

    assert (told["count"], told["durability"], len(set(told["ids"]))) == (10_000, "fsync", 10_000)
    async with Redis.from_url(alone.url) as redis:
        assert await redis.zcard(f"{prefix}:{{0}}:due:work") == 10_000


@pytest.mark.parametrize("asked", BEYOND)
@pytest.mark.parametrize("path", CREATING)
async def test_what_was_not_reached_may_exist_and_a_repeat_with_its_key_is_safe(
    lacking: Scene, path: str, asked: Durability
) -> None:
    """503 with ids and key; however often it is repeated, at whatever level, there is one of each, and the ids stay."""
    content, count = CREATING[path], len(CREATING[path]) if path.endswith("batch") else 1
    headers = {"Idempotency-Key": "order-17"}

    refused = [await lacking.api.post(path, content, headers={**headers, "Durability": asked}) for _ in range(3)]
    repeated = await lacking.api.accepted(path, content, headers=headers)

    for answer in refused:
        assert_problem(answer, 503, says=f"{asked} was not reached")
        assert "the messages may exist; a repeat with the idempotency_key completes" in answer.json["detail"]
        assert (answer.headers["retry-after"], answer.json["idempotency_key"]) == ("1", "order-17")
    assert {tuple(answer.json["ids"]) for answer in refused} == {tuple(repeated.get("ids") or [repeated["id"]])}
    assert (repeated["deduplicated"], repeated["durability"]) == (True, "memory")
    assert await lacking.count() == count


@pytest.mark.parametrize("asked", BEYOND)
async def test_without_a_key_the_answer_says_how_to_go_on(lacking: Scene, asked: Durability) -> None:
    """One message: where to look for it. A batch: a key that was made for it, with which a repeat is safe."""
    header = {"Durability": asked}
    single = await lacking.api.post("/messages", CREATING["/messages"], headers=header)
    batch = await lacking.api.post("/messages/batch", CREATING["/messages/batch"], headers=header)

    (message_id,) = single.json["ids"]
    assert_problem(single, 503, says=f"GET /messages/{message_id} tells whether it was stored")
    assert (await lacking.api.message(message_id))["status"] == "scheduled"
    assert_problem(batch, 503, says="a repeat with the idempotency_key completes")
    key = {"Idempotency-Key": batch.json["idempotency_key"]}
    assert (await lacking.api.accepted("/messages/batch", CREATING["/messages/batch"], headers=key))["ids"] == batch.json["ids"]
    assert await lacking.count() == 601


@pytest.mark.parametrize("asked", BEYOND)
async def test_a_change_that_is_not_safe_was_done_and_its_repeat_does_nothing_more(lacking: Scene, asked: Durability) -> None:
    """503 says that it was done; a repeat is no more confirmed and does nothing more; a letter is replayed once."""
    calls = await lacking.changing()
    header = {"Durability": asked}

    async def refused(*names: str) -> dict[str, Any]:
        for name in names:
            answer = await lacking.api.call(*calls[name], headers=header)
            assert_problem(answer, 503, says=f"it was done, but {asked} was not reached")
            assert "a repeat is safe" in answer.json["detail"]
        return {name: await lacking.api.message(call[1].split("/")[2]) for name, call in calls.items()}

    first = await refused(*calls)
    second = await refused("change", "cancel", "deliver")

    assert [first[name]["status"] for name in calls] == ["scheduled", "cancelled", "scheduled", "scheduled"]
    assert (first["change"]["body"], first["replay"]["attempts"]) == ("changed", 0)
    assert {name: one["status"] for name, one in second.items()} == {name: one["status"] for name, one in first.items()}
    assert [second[name] for name in ("cancel", "deliver", "replay")] == [first[name] for name in ("cancel", "deliver", "replay")]
    assert await lacking.count() == 3
    repeats = {name: (await lacking.api.call(*call)).status for name, call in calls.items()}
    assert repeats == {"change": 200, "cancel": 200, "deliver": 202, "replay": 409}


@pytest.mark.parametrize("asked", BEYOND)
async def test_what_was_not_done_is_not_said_to_be_done(lacking: Scene, asked: Durability) -> None:
    """404 and 409 are the answers also where nothing could be made safe: there is nothing to be safe."""
    calls = await lacking.changing()
    header, no_id = {"Durability": asked}, "work-0-" + "0" * 21
    for method, path, content in calls.values():
        there = path.split("/")[2]
        assert_problem(
            await lacking.api.call(method, path.replace(there, no_id), content, headers=header), 404, says="no message"
        )
    (_, cancelled, _), (_, dead, _) = calls["cancel"], calls["replay"]
    await lacking.api.call("DELETE", cancelled)
    for method, path, content in (
        ("PATCH", cancelled, {"delay": 1}),
        ("POST", f"{cancelled}/deliver", None),
        ("DELETE", f"/messages/{dead.split('/')[2]}", None),
        ("POST", f"/dead-letters/{cancelled.split('/')[2]}/replay", None),
    ):
        assert_problem(await lacking.api.call(method, path, content, headers=header), 409, says="cannot")
    key = {"Idempotency-Key": "order-17"}
    await lacking.api.accepted("/messages", CREATING["/messages"], headers=key)
    other = await lacking.api.post("/messages", {"topic": "echo"}, headers={**key, **header})
    assert_problem(other, 409, "Idempotency-Key", says="another content")
    assert await lacking.count() == 3


async def test_a_replica_that_comes_back_completes_a_repeat(
    open_api: OpenApi, settings: Settings, tmp_path: Path, prefix: str
) -> None:
    """While it is away nobody is told that the message is safe; the first repeat after its return is."""
    async with private_pair(tmp_path) as (master, replica):
        scene = await opened(open_api, settings, master, prefix)
        port = replica.port
        replica.kill()
        headers = {"Durability": "replica", "Idempotency-Key": "order-17"}
        assert_problem(await scene.api.post("/messages", CREATING["/messages"], headers=headers), 503, says="0 of 1 replicas")

        replica.port = port
        replica.start()

        async def accepted() -> Answer | None:
            answer = await scene.api.post("/messages", CREATING["/messages"], headers=headers)
            return answer if answer.status == 202 else None

        answer = await eventually(accepted, within_s=20)
        assert (answer.json["durability"], answer.json["deduplicated"]) == ("replica", True)
        assert await scene.count() == 1
        await scene.redis.aclose()


async def test_a_deduplicated_repeat_of_what_is_not_safe_is_not_safe_either(lacking: Scene) -> None:
    """It is told so each time, and stored once."""
    for _ in range(2):
        headers = {"Durability": "replica", "Upstash-Deduplication-Id": "d", "Upstash-Delay": "1h"}
        answer = await lacking.api.post("/v2/publish/https://example.com/hook", data="x", headers=headers)
        assert (answer.status, "0 of 1 replicas" in answer.json["error"]) == (503, True)
    assert len((await lacking.api.get("/messages?topic=webhook")).json["items"]) == 1


@pytest.mark.parametrize(
    ("option", "why"), [("--appendonly no", "appendonly is off"), ("--appendfsync no", "appendfsync is 'no'")]
)
async def test_what_cannot_be_had_is_refused_before_anything_is_done(
    open_api: OpenApi, settings: Settings, tmp_path: Path, prefix: str, option: str, why: str
) -> None:
    """422 names the header and the reason on each call, and nothing is stored or changed; memory is no matter."""
    with private_server(tmp_path / "own", *option.split()) as server:
        scene = await opened(open_api, settings, server, prefix)
        changing = await scene.changing()
        before = [await scene.api.message(call[1].split("/")[2]) for call in changing.values()]

        for call in [*(("POST", path, content) for path, content in CREATING.items()), *changing.values()]:
            answer = await scene.api.call(*call, headers={"Durability": "fsync"})
            assert_problem(answer, 422, "Durability", says=f"expected memory or replica: fsync cannot be had, since {why}")

        assert [await scene.api.message(call[1].split("/")[2]) for call in changing.values()] == before
        assert await scene.count() == 3
        assert (await scene.api.accepted("/messages", CREATING["/messages"]))["durability"] == "memory"
        await scene.redis.aclose()


@pytest.mark.leaves("due", "dead", "index")
@pytest.mark.parametrize("asked", ["", "disk", "Memory", "memory,fsync"])
async def test_a_bad_value_is_refused_on_each_call(api: Api, settings: Settings, redis: Redis, asked: str) -> None:
    """422 names the header and what was expected, and nothing is stored or changed."""
    scene = Scene(api, settings, redis)
    changing = await scene.changing()
    before = await scene.count()

    for call in [*(("POST", path, content) for path, content in CREATING.items()), *changing.values()]:
        answer = await api.call(*call, headers={"Durability": asked})
        assert_problem(answer, 422, "Durability", says="expected memory, fsync or replica")

    assert await scene.count() == before


async def test_the_setting_counts_where_the_request_says_nothing(
    open_api: OpenApi, settings: Settings, alone: BundledServer, prefix: str
) -> None:
    """``Durability: replica`` without a replica: unsafe for whoever says nothing, and memory for whoever asks for that."""
    scene = await opened(open_api, settings, alone, prefix, durability="replica")

    assert_problem(await scene.api.post("/messages", CREATING["/messages"]), 503, says="replica was not reached")
    told = await scene.api.accepted("/messages", CREATING["/messages"], headers={"Durability": "memory"})

    assert told["durability"] == "memory"
    warnings = (await scene.api.get("/health")).json["warnings"]
    assert any("0 replicas are connected and Durability asks for 1" in one for one in warnings)
    await scene.redis.aclose()


async def test_the_header_is_described_for_each_changing_call_and_no_other(api: Api) -> None:
    """Whoever reads the description finds where safety can be asked for."""
    described = {
        (method, path)
        for path, item in api.description.document["paths"].items()
        for method, operation in item.items()
        if any(one["name"] == "Durability" for one in operation["parameters"])
    }

    assert described == {
        *(("post", path) for path in CREATING),
        ("patch", "/messages/{id}"),
        ("delete", "/messages/{id}"),
        ("post", "/messages/{id}/deliver"),
        ("post", "/dead-letters/{id}/replay"),
        ("delete", "/dead-letters/{id}"),
        *(("post", path) for path in ("/messages/cancel", "/messages/deliver", "/dead-letters/replay", "/dead-letters/delete")),
        ("post", "/schedules"),
        *((method, "/schedules/{id}") for method in ("put", "patch", "delete")),
        *(("post", f"/schedules/{{id}}/{way}") for way in ("pause", "resume", "run")),
    }


@pytest.mark.parametrize(
    ("option", "why"), [("--appendonly no", "appendonly is off"), ("--appendfsync no", "appendfsync is 'no'")]
)
async def test_a_setting_that_cannot_be_had_refuses_to_start(prefix: str, tmp_path: Path, option: str, why: str) -> None:
    """The producer ends with the exit code of bad settings, and says which one and why."""
    with private_server(tmp_path / "own", *option.split()) as server:
        service = Service(server.url, prefix, tmp_path, Durability="fsync")
        process = service.spawn("producer")

        assert await process.ended() == BAD_SETTINGS

        assert f"Durability = 'fsync': expected memory or replica: fsync cannot be had, since {why}" in process.err.read_text()
        await service.stop()


async def test_many_callers_at_once_are_each_told_the_truth(
    open_api: OpenApi, settings: Settings, tmp_path: Path, prefix: str
) -> None:
    """Different levels and a wrong one side by side: nobody gets another's answer."""
    async with private_pair(tmp_path, "--appendfsync", "everysec") as (master, _):
        scene = await opened(open_api, settings, master, prefix)
        asked = ["memory", "replica", "disk"] * 20

        answers = await asyncio.gather(
            *(scene.api.post("/messages", CREATING["/messages"], headers={"Durability": level}) for level in asked)
        )

        told = [answer.json.get("durability", "disk") for answer in answers]
        assert told == asked
        assert await scene.count() == 40
        await scene.redis.aclose()
