"""The service under the Redis user of SECURITY.md, which may do what is needed and no more."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.janitor import Janitor
from shared.api_keys import make_key
from shared.settings import RedisSettings, RetentionSettings, Settings, TopicSettings
from shared.store.keys import GROUP, Keys
from shared.store.partition import Store
from tests.support.acl import MAIN, SINCE_7_2, Guarded, line_with
from tests.support.server import private_server
from tests.support.waiting import eventually
from tests.system.service import Service

WORK = Keys("mss", 0).stream("work")
GONE_MS = 3_000
"""Longer than a living worker is silent."""
MakeService = Callable[..., Service]


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """A server that knows the user of the page and nobody else. ``always``: nobody has to wait for its disk."""
    with private_server(tmp_path / "own", "--appendfsync", "always") as server:
        made = Guarded(server.port)
        yield made
        made.close()


@pytest.fixture
async def make_service(tmp_path: Path) -> AsyncIterator[MakeService]:
    made: list[Service] = []

    def make(url: str, **settings: object) -> Service:
        made.append(Service(url, "mss", tmp_path, **settings))
        return made[-1]

    yield make
    for service in made:
        await service.stop()


class Keyed:
    """Two callers: one with room enough, whose key every call carries, and a slow one."""

    def __init__(self) -> None:
        (quick, quick_hash), (self.slow, slow_hash) = make_key("quick"), make_key("slow")
        every = {"Scopes": ["admin"], "RatePerS": 10_000}
        entries = [{"Name": "quick", "Hash": quick_hash, **every}, {"Name": "slow", "Hash": slow_hash, **every, "RatePerS": 0.01}]
        self.setting = json.dumps(entries)
        self.header = f"Bearer {quick}"


async def accepted(service: Service, **message: Any) -> str:
    """Schedules one; its id."""
    status, answer = await service.call("POST", "/messages", {"topic": "work", **message})
    assert status == 202, answer
    return str(answer["id"])


async def delivered(service: Service, message_id: str) -> None:
    assert (await service.settled(message_id))["status"] == "delivered"


async def test_the_service_does_everything_as_that_user_and_uses_every_command_of_the_line(
    guarded: Guarded, make_service: MakeService
) -> None:
    """From scheduling to a worker's end, nothing is refused; and what is not used is not allowed."""
    url, keyed = guarded.allow_service(), Keyed()
    guarded.forget_usage()
    service = make_service(
        url, Auth__Keys=keyed.setting, Consumers__LeaseMs=1000, Consumers__Threads=2,
        Retention__MaxDeadLetters=1, Redis__ConfirmTimeoutMs=300,
    )  # fmt: skip
    service.http.headers["Authorization"] = keyed.header
    await service.start(consumers=2)

    for act in (_callers, _schedules, _idempotency, _durability, _failures, _limits):
        await act(service, keyed)
    await _workers_that_go(service, guarded)
    await _upkeep(url, guarded)

    allowed = line_with(MAIN).commands | (line_with(SINCE_7_2).commands if guarded.version >= (7, 2) else set())
    if guarded.version < (7, 0):  # it counts by command
        allowed = {command.partition("|")[0] for command in allowed}
    await eventually(lambda: "ping" in guarded.used(), within_s=20, what="the subscription has asked for a sign of life")
    assert guarded.used() == allowed
    assert guarded.refused() - ({"client", "client|setinfo"} if guarded.version < (7, 2) else set()) == set()
    assert "noauth" not in "".join(process.err.read_text() for process in service.processes)


async def _callers(service: Service, _keyed: Keyed) -> None:
    """Schedule, look, change, deliver now, cancel, health."""
    one = await accepted(service, delay=3600)
    assert (await service.call("PATCH", f"/messages/{one}", {"delay": 7200}))[0] == 200
    assert (await service.call("POST", f"/messages/{one}/deliver"))[0] == 202
    await delivered(service, one)
    other = await accepted(service, delay=3600)
    assert (await service.call("DELETE", f"/messages/{other}"))[1]["status"] == "cancelled"
    status, health = await service.call("GET", "/health")
    assert (status, health["status"], health.get("reasons", [])) == (200, "ok", [])
    assert "warnings" not in health, "CONFIG GET is allowed"
    for way in ("pause", "resume"):
        assert (await service.call("POST", f"/topics/work/{way}"))[0] == 200
    for state in ("waiting", "ready", "delivered"):
        for order in ("oldest", "newest"):
            assert (await service.call("GET", f"/messages?state={state}&order={order}"))[0] == 200


async def _schedules(service: Service, _keyed: Keyed) -> None:
    """One that runs, twice by its rule and once beside it; look, list, pause, delete."""
    schedule = {"every": "100ms", "max_runs": 2, "message": {"topic": "work"}}
    assert (await service.call("PUT", "/schedules/quick", schedule))[0] == 201
    assert (await service.call("POST", "/schedules/quick/run"))[0] == 202

    async def ended() -> Any:
        _, found = await service.call("GET", "/schedules/quick")
        return found if found["status"] == "ended" else None

    found = await eventually(ended, what="it has run twice")
    for run in found["past_runs"]:
        await delivered(service, run["message_id"])
    assert [one["id"] for one in (await service.call("GET", "/schedules"))[1]["items"]] == ["quick"]
    assert (await service.call("POST", "/schedules/quick/pause"))[0] == 200
    assert (await service.call("DELETE", "/schedules/quick"))[0] == 200


async def _idempotency(service: Service, _keyed: Keyed) -> None:
    """A batch that is repeated with its key, and one whose own key is forgotten again."""
    batch = [{"topic": "work"}] * 3
    answers = [(await service.call("POST", "/messages/batch", batch, headers={"Idempotency-Key": "once"}))[1] for _ in range(2)]
    assert answers[0]["ids"] == answers[1]["ids"]
    assert answers[1]["deduplicated"]
    _, without = await service.call("POST", "/messages/batch", batch)
    for message_id in (*answers[0]["ids"], *without["ids"]):
        await delivered(service, message_id)


async def _durability(service: Service, _keyed: Keyed) -> None:
    """On the disk; and a wait for replicas, of which there are none."""
    message = {"topic": "work"}
    status, safe = await service.call("POST", "/messages", message, headers={"Durability": "fsync"})
    assert (status, safe["durability"]) == (202, "fsync")
    status, unsafe = await service.call("POST", "/messages", message, headers={"Durability": "replica"})
    assert status == 503
    assert "0 of 1 replicas" in unsafe["detail"]


async def _failures(service: Service, _keyed: Keyed) -> None:
    """A retry that helps, dead letters, their list, a replay."""
    await delivered(service, await accepted(service, body={"fail": 1}, retry={"initial_ms": 10}))
    spent = [await accepted(service, body={"fail": 1}, retry={"max_attempts": 1}) for _ in range(3)]
    for message_id in spent:
        assert (await service.settled(message_id))["status"] == "dead"
    _, first = await service.call("GET", "/dead-letters?limit=1")
    status, _ = await service.call("GET", f"/dead-letters?limit=1&cursor={first['next_cursor']}")
    assert status == 200
    assert (await service.call("POST", "/dead-letters/delete", {"filter": {"died_until": 1}}))[0] == 200
    again = first["items"][0]["id"]
    status, _ = await service.call("POST", f"/dead-letters/{again}/replay", {"delay": 3600})
    assert status == 202
    assert (await service.call("DELETE", f"/messages/{again}"))[0] == 200


async def _limits(service: Service, keyed: Keyed) -> None:
    """One request of the slow key passes, and the next is told when to come again."""
    headers = {"Authorization": f"Bearer {keyed.slow}"}
    assert (await service.call("GET", "/dead-letters", headers=headers))[0] == 200
    async with service.http.get(f"{service.producer_url}/dead-letters", headers=headers) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0


async def _workers_that_go(service: Service, guarded: Guarded) -> None:
    """SIGTERM: what was read is handed back and the consumer leaves. SIGKILL: what ran is claimed by another."""
    leaving, dying = service.named("consumers")
    load = [{"topic": "work", "body": {"sleep": 0.05}} for _ in range(100)]
    before = len(service.records("start"))
    _, batch = await service.call("POST", "/messages/batch", load)
    await eventually(lambda: len(service.records("start")) > before + 10, what="the load is under way")

    leaving.send(signal.SIGTERM)

    assert await leaving.ended() == 0
    for message_id in batch["ids"]:
        await delivered(service, message_id)
    assert len(_consumers(guarded)) == 1
    held = await accepted(service, body={"sleep": 1.0})
    await eventually(lambda: held in {one["id"] for one in service.records("start")}, what="it runs")
    dying.kill()
    await service.ready(service.spawn("consumers"))
    await delivered(service, held)


def _consumers(guarded: Guarded) -> list[Any]:
    found: list[Any] = guarded.command("XINFO", "CONSUMERS", WORK, GROUP)
    return found


async def _upkeep(url: str, guarded: Guarded) -> None:
    """The janitor drops dead letters over their cap, and removes the consumer that was killed."""
    store = Store(_settings(url), "janitor")
    janitor = Janitor(store, store.settings)
    janitor._gone_after_ms = GONE_MS

    async def removed() -> bool:
        await janitor.run_once()
        return len(_consumers(guarded)) == 1

    await eventually(removed, what="the consumer that was killed is removed")
    await store.close()
    assert int(guarded.command("HGET", Keys("mss", 0).counts, "dead_letters_dropped")) > 0


def _settings(url: str) -> Settings:
    return Settings(
        redis=RedisSettings(connection_string=url),
        topics=(TopicSettings(name="work", handler="nobody.asks"),),
        retention=RetentionSettings(max_dead_letters=1),
    )


async def test_without_config_get_the_service_runs_and_says_what_is_unknown(guarded: Guarded, make_service: MakeService) -> None:
    """Where others run Redis they often allow no look at its configuration."""
    service = make_service(guarded.allow_service("+config|get"))
    await service.start()

    await delivered(service, await accepted(service))

    _, health = await service.call("GET", "/health")
    assert health["status"] == "ok"
    (warning,) = health["warnings"]
    assert warning == "CONFIG GET is not allowed: whether keys can be evicted and the AOF is on is unknown"
    for process in service.processes:
        assert f"unsafe: {warning}" in process.err.read_text() or process.name.startswith("producer")
        assert "Redis is out" not in process.err.read_text()


@pytest.mark.parametrize("rule", ["+info", "+zadd", "+client|setname", "+script|load"])
async def test_what_the_user_lacks_is_named_where_people_look(guarded: Guarded, make_service: MakeService, rule: str) -> None:
    """Readiness or the answer to a caller names the command and where to look; as soon as it is allowed all goes on by itself."""
    service = make_service(guarded.allow_service(rule))
    producer = service.spawn("producer")
    service.producer_url = await producer.url()

    async def told() -> str:
        _, ready = await service.call("GET", "/health/ready")
        text = " ".join(ready.get("reasons", []))
        if not text and rule == "+script|load":  # nothing but a script meets it
            _, refused = await service.call("POST", "/messages", {"topic": "work"})
            text = refused["detail"]
        return text if "noauth" in text else ""

    text = await eventually(told, what="the reason is told")
    assert rule[1:].partition("|")[0] in text
    assert "what that user may do" in text

    guarded.allow(line_with(MAIN))

    await service.ready(producer)
    await accepted(service, delay=3600)
