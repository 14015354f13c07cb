"""What the whole service tells those who watch: producers, a dispatcher and workers as real processes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.store.publishing import EVERY_S, LOOK_S
from tests.support.server import private_server
from tests.support.streams import Stream, opened
from tests.support.waiting import eventually
from tests.system.conftest import MakeService
from tests.system.service import Process, Service

MESSAGES = 300


async def scheduled(service: Service, **message: Any) -> str:
    status, answer = await service.call("POST", "/messages", {"topic": "work", **message})
    assert status == 202, answer
    return str(answer["id"])


@asynccontextmanager
async def watched(service: Service, process: Process | None = None, query: str = "") -> AsyncIterator[Stream]:
    """A stream of a producer, once every process knows that somebody watches."""
    url = await (process or service.named("producer")[0]).url()
    async with opened(service.http, url, query) as stream:
        await stream.until(lambda: scheduled(service), "scheduled", "ready", "running", "delivered")
        yield stream


@pytest.mark.leaves("dead", "due", "schedule", "index")
async def test_whole_lives_are_told(make_service: MakeService) -> None:
    """Each step, whoever makes it, at the time and with the worker that the message shows."""
    service = make_service(Retry__InitialMs=100, Retry__MaxAttempts=2)
    await service.start(dispatchers=2, consumers=2)
    async with watched(service) as stream:
        retried = await scheduled(service, body={"fail": 1}, labels=["red"])
        dead = await scheduled(service, body={"fail": 9})
        cancelled, expired = await scheduled(service, delay="1h"), await _expired(service)
        await service.call("PATCH", f"/messages/{cancelled}", {"delay": "2h"})
        await service.call("DELETE", f"/messages/{cancelled}")
        shown = {one: await service.settled(one) for one in (retried, dead)}
        await service.call("POST", f"/dead-letters/{dead}/replay", {"delay": "1h"})
        await service.call("PUT", "/schedules/once", {"every": "1d", "message": {"topic": "work"}})
        _, run = await service.call("POST", "/schedules/once/run")

        lives = {
            retried: ["scheduled", "running", "retrying", "running", "delivered"],
            dead: ["scheduled", "running", "retrying", "running", "dead", "replayed"],
            cancelled: ["scheduled", "changed", "cancelled"],
            expired: ["scheduled", "expired"],
            run["message_id"]: ["scheduled", "running", "delivered"],
        }
        await eventually(lambda: {one: stream.of(one) for one in lives} == lives, what=f"{lives}")

    attempts = [one for one in stream.events if one.get("message_id") == retried and "attempt" in one]
    _first, failed, again, done = sorted(attempts, key=lambda one: (one["at"], one["event"] != "running"))
    assert (failed["error"], failed["attempt"], done["attempt"]) == ("ValueError: as ordered", 1, 2)
    assert again["at"] == shown[retried]["started_at"]
    assert (done["worker"], done["lateness_ms"]) == (shown[retried]["worker"], shown[retried]["lateness_ms"])
    assert {tuple(one.get("labels", ())) for one in (failed, again, done)} == {("red",)}
    (of_dead,) = [one for one in stream.events if one["event"] == "dead"]
    assert of_dead["error"] == "ValueError: as ordered"


async def _expired(service: Service) -> str:
    """One whose topic is paused until nobody wants it any more."""
    await service.call("POST", "/topics/async-work/pause")
    _, message = await service.call("POST", "/messages", {"topic": "async-work", "delay": 2, "expires_after": 0.001})
    due_s = time.monotonic() + 2
    await eventually(lambda: time.monotonic() > due_s + 0.1)
    await service.call("POST", "/topics/async-work/resume")
    assert (await service.settled(message["id"]))["status"] == "expired"
    return str(message["id"])


async def test_another_producer_tells_the_same(make_service: MakeService) -> None:
    """Whichever a caller has reached; filters are each stream's own."""
    service = make_service()
    await service.start(producers=2)
    _, other = service.named("producer")
    async with watched(service, other) as everything, opened(service.http, await other.url(), "?state=delivered") as filtered:
        one = await scheduled(service)
        await eventually(lambda: everything.of(one) == ["scheduled", "running", "delivered"])
        await eventually(lambda: filtered.of(one) == ["delivered"])
    assert set(filtered.kinds()) == {"delivered"}


async def test_a_worker_that_stops_tells_its_last(make_service: MakeService) -> None:
    """What it finishes after SIGTERM is told as well."""
    service = make_service()
    await service.start()
    (worker,) = service.named("consumers")
    async with watched(service) as stream:
        one = await scheduled(service, body={"sleep": 0.5})
        await eventually(lambda: "running" in stream.of(one))
        worker.send(signal.SIGTERM)
        await worker.ended()
        await eventually(lambda: stream.of(one) == ["scheduled", "running", "delivered"])


async def test_a_stream_outlives_an_outage(make_service: MakeService, tmp_path: Path) -> None:
    """It stays open while Redis is down, says so, and goes on by itself."""
    with private_server(tmp_path / "own") as server:
        service = make_service(server.url)
        await service.start()
        async with watched(service) as stream:
            server.stop()
            await stream.shows("outage")
            server.start()
            await stream.shows("resumed", within_s=20)
            for process in service.processes:
                await service.ready(process)
            seen = len(stream.events)

            async def told_again() -> bool:
                one = await scheduled(service)
                await service.settled(one)
                return {"scheduled", "running", "delivered"} <= {event["event"] for event in stream.events[seen:]}

            await eventually(told_again, within_s=20)
        assert not stream.ended
        await service.stop()


class Commands:
    """What processes send to a server, but for what their scripts do."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    async def listen(self, redis: Redis, prefix: str) -> None:
        async with redis.monitor() as monitor:
            while True:
                command = await monitor.next_command()
                if command["client_type"] != "lua" and prefix in command["command"]:
                    self.sent[command["command"].split(" ", 1)[0].upper()] += 1


async def test_nobody_pays_where_nobody_watches(make_service: MakeService, redis: Redis, prefix: str) -> None:
    """No process publishes or writes for it: a look a second is all. And while somebody does, no message costs a command."""
    service = make_service()
    await service.start()
    commands = Commands()
    listening = asyncio.create_task(commands.listen(redis, prefix))

    async def work() -> tuple[Counter[str], float]:
        await eventually(lambda: commands.sent["PUBSUB"], what="the monitor listens")
        commands.sent.clear()
        started_s = time.monotonic()
        for message_id in [await scheduled(service) for _ in range(MESSAGES)]:
            await service.settled(message_id)
        return Counter(commands.sent), time.monotonic() - started_s

    alone, seconds = await work()

    assert alone["EVALSHA"] > MESSAGES
    assert (alone["PUBLISH"], alone["SUBSCRIBE"]) == (0, 0)
    assert alone["PUBSUB"] <= 3 * (seconds / LOOK_S + 1)
    assert [key async for key in redis.scan_iter(match=f"{prefix}:*events*")] == []

    async with watched(service):
        beside, seconds = await work()

    assert 0 < beside["PUBLISH"] <= 3 * (seconds / EVERY_S + 1)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
