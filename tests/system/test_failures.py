"""Processes killed, stopped and frozen; handlers that hang or kill; Redis gone for a while."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.support.server import private_server
from tests.support.waiting import eventually
from tests.system.conftest import MakeService
from tests.system.service import Service


def _duplicates(service: Service) -> set[str]:
    return {message for message, count in Counter(one["id"] for one in service.records("start")).items() if count > 1}


async def test_a_worker_killed_mid_batch_costs_only_redeliveries_of_what_it_held(make_service: MakeService) -> None:
    """SIGKILL of one of four workers: every message is delivered, and only those it had started are started again."""
    service = make_service(Consumers__LeaseMs=1000)
    await service.start(dispatchers=2, consumers=4)
    start_ms = int(time.time() * 1000) + 300
    batch = [{"topic": "work", "deliver_at": start_ms + number * 2, "body": {"sleep": 0.01}} for number in range(1000)]
    _, accepted = await service.call("POST", "/messages/batch", batch)
    await eventually(lambda: len(service.records("start")) > 300, what="the batch is under way")
    victim = service.named("consumers")[1]

    victim.kill()

    await service.all_ended(1000)
    await service.drained()
    ended_by_victim = {one["id"] for one in service.records("end") if one["pid"] == victim.pid}
    started_by_victim = {one["id"] for one in service.records("start") if one["pid"] == victim.pid}
    assert {one["id"] for one in service.records("start")} == set(accepted["ids"])
    assert _duplicates(service) <= started_by_victim
    assert len(_duplicates(service) & ended_by_victim) <= 110, "settled deliveries came back"


async def test_sigterm_under_load_finishes_hands_back_and_leaves_the_group(
    make_service: MakeService, redis: Redis, prefix: str
) -> None:
    """A worker told to stop ends with 0; nothing is run twice, nothing waits for a lease, and its consumer is removed."""
    service = make_service(Consumers__LeaseMs=60_000)
    await service.start(consumers=2)
    batch = [{"topic": "work", "body": {"sleep": 0.02}} for _ in range(600)]
    await service.call("POST", "/messages/batch", batch)
    await eventually(lambda: len(service.records("start")) > 100, what="the load is under way")
    leaving = service.named("consumers")[0]

    leaving.send(signal.SIGTERM)

    assert await leaving.ended() == 0
    await service.all_ended(600)
    assert _duplicates(service) == set()
    await service.drained()
    consumers = await redis.xinfo_consumers(f"{prefix}:{{0}}:stream:work:normal", "consumers")
    assert len(consumers) == 1


@pytest.mark.leaves("dead")
async def test_a_poison_message_ends_in_the_dead_letters_and_spares_its_neighbours(make_service: MakeService) -> None:
    """A message that kills its worker each time is buried after its attempts; the others beside it are delivered."""
    service = make_service(Consumers__LeaseMs=1000, Retry__MaxAttempts=2)
    await service.start(consumers=2)
    _, poison = await service.call("POST", "/messages", {"topic": "work", "body": {"kill": True}})
    neighbours = [{"topic": "work", "delay": number * 0.02, "body": {"sleep": 0.05}} for number in range(100)]
    _, accepted = await service.call("POST", "/messages/batch", neighbours)

    respawning = asyncio.create_task(_respawn(service))
    buried = await service.settled(poison["id"], within_s=60)
    for message_id in accepted["ids"]:
        assert (await service.settled(message_id))["status"] == "delivered"
    respawning.cancel()

    assert buried["status"] == "dead"
    assert "its worker was lost" in buried["reason"]
    assert len([one for one in service.records("start") if one["id"] == poison["id"]]) == 3  # the first loss is free


async def _respawn(service: Service) -> None:
    """What a supervisor does."""
    replaced = set()
    while True:
        for process in service.named("consumers"):
            if process.process.poll() is not None and process not in replaced:
                replaced.add(process)
                service.spawn("consumers")
        await asyncio.sleep(0.05)


async def test_a_slow_handler_keeps_its_lease(make_service: MakeService) -> None:
    """A handler that runs for several leases is run once."""
    service = make_service(Consumers__LeaseMs=1000)
    await service.start(consumers=2)

    _, accepted = await service.call("POST", "/messages", {"topic": "work", "body": {"sleep": 3}})

    assert (await service.settled(accepted["id"]))["status"] == "delivered"
    assert len(service.records("start")) == 1


async def test_a_frozen_worker_loses_its_message_and_cannot_settle_it(make_service: MakeService) -> None:
    """Another worker delivers what a frozen one held; thawed, its late settlement is refused and counted."""
    service = make_service(Consumers__LeaseMs=400)
    await service.start(consumers=1)
    frozen = service.named("consumers")[0]
    _, accepted = await service.call("POST", "/messages", {"topic": "work", "body": {"sleep": 0.3}})
    await eventually(lambda: service.records("start"), what="the handler runs")
    frozen.send(signal.SIGSTOP)
    await service.ready(service.spawn("consumers"))

    message = await service.settled(accepted["id"])
    frozen.send(signal.SIGCONT)

    assert message["status"] == "delivered"
    assert message["worker"].split("-")[-2] == str(service.named("consumers")[1].pid)
    url = await frozen.url()

    async def counted() -> bool:
        async with service.http.get(f"{url}/health") as answer:
            counts = (await answer.json())["counts"]
            return bool(counts.get("fenced") or counts.get("lost"))

    await eventually(counted, what="the late settlement is counted")
    _, again = await service.call("GET", f"/messages/{accepted['id']}")
    assert again == message


@pytest.mark.parametrize("topic", ["work", "async-work"])
async def test_a_handler_past_its_deadline_fails_its_attempt_at_once(make_service: MakeService, topic: str) -> None:
    """The delivery of a handler that hangs is a failed attempt at its deadline; the retry does not wait for the hung one."""
    service = make_service()
    await service.start()
    hang = {"topic": topic, "body": {"sleep": 3}, "deadline_ms": 200, "retry": {"max_attempts": 1}}

    _, accepted = await service.call("POST", "/messages", hang)

    message = await service.settled(accepted["id"], within_s=2.5)
    assert message["status"] == "dead"
    assert "deadline of 200 ms" in message["errors"][0]["error"]
    await service.call("POST", f"/dead-letters/{accepted['id']}/replay", {"delay": 3600})
    status, _ = await service.call("DELETE", f"/messages/{accepted['id']}")
    assert status == 200


async def test_too_many_hung_threads_make_the_process_leave_for_a_fresh_one(make_service: MakeService) -> None:
    """Past MaxAbandonedThreads a worker exits with its own code, and what it had not started is run by another."""
    service = make_service(Consumers__MaxAbandonedThreads=1, Consumers__Threads=2, Consumers__LeaseMs=60_000)
    await service.start(consumers=1)
    hang = {"topic": "work", "body": {"sleep": 30}, "deadline_ms": 300, "retry": {"max_attempts": 2, "initial_ms": 60_000}}
    _, hung = await service.call("POST", "/messages/batch", [hang] * 2)
    await eventually(lambda: len(service.records("start")) == 2, what="both threads hang")
    await service.call("POST", "/messages/batch", [{"topic": "work"}] * 20)

    code = await service.named("consumers")[0].ended()

    assert code == 75
    await service.ready(service.spawn("consumers"))
    await service.all_ended(20)
    for message_id in hung["ids"]:
        status, _ = await service.call("DELETE", f"/messages/{message_id}")
        assert status == 200


async def test_redis_restarted_under_load_loses_nothing(make_service: MakeService, tmp_path: Path, prefix: str) -> None:
    """While Redis is down the API answers 503 with Retry-After and readiness is red; then all goes on by itself."""
    with private_server(tmp_path / "own", "--appendfsync", "always") as server:
        port = server.port
        service = make_service(server.url)
        await service.start(dispatchers=2, consumers=2)
        start_ms = int(time.time() * 1000) + 300
        batch = [{"topic": "work", "deliver_at": start_ms + number * 3, "body": {"sleep": 0.005}} for number in range(800)]
        _, accepted = await service.call("POST", "/messages/batch", batch)
        await eventually(lambda: len(service.records("start")) > 100, what="the load is under way")

        server.kill()
        async with service.http.post(f"{service.producer_url}/messages", json={"topic": "work"}) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await answer.json())["status"] == 503
        for process in service.processes:
            await service.ready(process, expected=False)
        server.port = port
        server.start()
        for process in service.processes:
            await service.ready(process)

        await service.all_ended(800)
        await service.drained()
        assert {one["id"] for one in service.records("start")} == set(accepted["ids"])
        held_at_most = 2 * 110
        assert len(_duplicates(service)) <= held_at_most
        await service.stop()


async def test_redis_frozen_for_longer_than_a_lease_makes_nothing_run_twice(
    make_service: MakeService, tmp_path: Path, prefix: str
) -> None:
    """Thawed, it meets the claims and the renewals that were held up together: those who run their deliveries keep them."""
    with private_server(tmp_path / "own") as server:
        service = make_service(server.url, Consumers__LeaseMs=1000, Consumers__Threads=5)
        await service.start(consumers=3)
        await service.call("POST", "/messages/batch", [{"topic": "work", "body": {"sleep": 4}}] * 10)
        await eventually(lambda: len(service.records("start")) == 10, what="all of them run")

        server.send(signal.SIGSTOP)
        for process in service.processes:
            await service.ready(process, expected=False)
        server.send(signal.SIGCONT)

        await service.all_ended(10)
        await service.drained()
        assert _duplicates(service) == set()
        await service.stop()
