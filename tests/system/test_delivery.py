"""The whole way of a message, with real processes."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from shared.times import format_ms
from tests.support.waiting import eventually
from tests.system.conftest import MakeService


async def test_a_message_is_delivered_at_its_time_and_printed_on_one_line(make_service: MakeService) -> None:
    """An echo is printed once, by the worker, not before its time, and the message says when it was delivered."""
    service = make_service()
    await service.start()
    due_ms = int(time.time() * 1000) + 700

    status, accepted = await service.call("POST", "/echoAtTime", {"time": due_ms, "message": "hello\nworld"})

    assert status == 202
    assert accepted["time"] == format_ms(due_ms)
    message = await service.settled(accepted["id"])
    assert message["status"] == "delivered"
    assert message["lateness_ms"] >= 0
    assert message["started_at"] >= accepted["time"]
    assert service.named("consumers")[0].out.read_text() == "hello\\nworld\n"


async def test_an_earlier_arrival_wakes_a_sleeping_dispatcher(make_service: MakeService) -> None:
    """With the safety tick out of the way, a message due before the one the dispatcher sleeps for is still on time."""
    service = make_service(Dispatcher__TickMs=60_000)
    await service.start()
    _, far = await service.call("POST", "/messages", {"topic": "work", "delay": 3600})

    _, near = await service.call("POST", "/messages", {"topic": "work", "delay": "200ms"})

    assert (await service.settled(near["id"]))["lateness_ms"] < 2000
    status, _ = await service.call("DELETE", f"/messages/{far['id']}")
    assert status == 200


async def test_async_and_threaded_handlers_get_the_same_message(make_service: MakeService) -> None:
    """A ``def`` and an ``async def`` handler are both run once, and never before the due time."""
    service = make_service()
    await service.start()

    batch: list[object] = [{"topic": topic, "delay": "300ms", "body": {}} for topic in ("work", "async-work") for _ in range(20)]
    _, accepted = await service.call("POST", "/messages/batch", batch)

    for message_id in accepted["ids"]:
        assert (await service.settled(message_id))["status"] == "delivered"
    starts = service.records("start")
    assert sorted(one["id"] for one in starts) == sorted(accepted["ids"])
    assert all(one["started_ms"] >= one["due_ms"] for one in starts)


async def test_workers_of_some_topics_alone_run_those_and_no_others(make_service: MakeService) -> None:
    """What no worker runs waits, and is delivered when there is one."""
    service = make_service()
    await service.start(consumers=0)
    first = service.spawn("consumers", Consumers__Topics='["work"]')
    await service.ready(first)
    batch: list[object] = [{"topic": topic, "body": {}} for topic in ("work", "async-work") for _ in range(10)]

    _, accepted = await service.call("POST", "/messages/batch", batch)

    await service.all_ended(10)
    assert {one["pid"] for one in service.records("start")} == {first.pid}
    second = service.spawn("consumers", Consumers__Topics='["async-work", "echo"]')
    await service.all_ended(20)
    starts = service.records("start")
    assert sorted(one["id"] for one in starts) == sorted(accepted["ids"])
    ran_by = {(one["id"].rsplit("-", 2)[0], one["pid"]) for one in starts}
    assert ran_by == {("work", first.pid), ("async-work", second.pid)}


async def test_two_dispatchers_and_four_workers_lose_and_double_nothing(make_service: MakeService) -> None:
    """Each of 2,000 messages spread over two seconds is started exactly once, none before its time."""
    service = make_service()
    await service.start(dispatchers=2, consumers=4)
    start_ms = int(time.time() * 1000) + 500
    batch = [{"topic": "work", "deliver_at": start_ms + number} for number in range(2000)]

    _, accepted = await service.call("POST", "/messages/batch", batch)

    await service.all_ended(2000)
    starts = service.records("start")
    assert sorted(one["id"] for one in starts) == sorted(accepted["ids"])
    assert min(one["started_ms"] - one["due_ms"] for one in starts) >= 0
    await service.drained()


async def test_a_failing_message_is_retried_with_backoff_and_says_so(make_service: MakeService) -> None:
    """Two failures cost two attempts and two backoffs; the third attempt delivers, and the errors are gone with it."""
    service = make_service()
    await service.start()
    retry = {"initial_ms": 100, "factor": 2, "jitter": 0}

    _, accepted = await service.call("POST", "/messages", {"topic": "work", "body": {"fail": 2}, "retry": retry})

    message = await service.settled(accepted["id"])
    assert (message["status"], message["attempts"]) == ("delivered", 3)
    starts = service.records("start")
    assert [one["attempt"] for one in starts] == [1, 2, 3]
    waits = [later["started_ms"] - earlier["started_ms"] for earlier, later in pairwise(starts)]
    assert waits[0] >= 100
    assert waits[1] >= 200


@pytest.mark.leaves("dead")
async def test_a_spent_message_is_a_dead_letter_and_can_be_replayed(make_service: MakeService) -> None:
    """After its last attempt a message is kept with body and errors; replayed, it starts with no attempt spent."""
    service = make_service()
    await service.start()
    request = {"topic": "work", "body": {"fail": 2}, "retry": {"max_attempts": 2, "initial_ms": 10}}

    _, accepted = await service.call("POST", "/messages", request)

    dead = await service.settled(accepted["id"])
    assert (dead["status"], dead["attempts"], dead["body"]) == ("dead", 2, {"fail": 2})
    assert [error["error"] for error in dead["errors"]] == ["ValueError: as ordered"] * 2
    _, page = await service.call("GET", "/dead-letters")
    assert [one["id"] for one in page["items"]] == [accepted["id"]]
    status, _ = await service.call("POST", f"/dead-letters/{accepted['id']}/replay")
    assert status == 202
    await eventually(lambda: len(service.records("start")) == 4, what="it is run twice more")
    assert [one["attempt"] for one in service.records("start")] == [1, 2, 1, 2]
    assert (await service.settled(accepted["id"]))["status"] == "dead"


async def test_an_expired_message_is_not_delivered(make_service: MakeService) -> None:
    """A message that no worker had until it expired is never started, and says that it expired."""
    service = make_service()
    await service.start(consumers=0)
    expires_ms = int(time.time() * 1000) + 1000
    _, accepted = await service.call("POST", "/messages", {"topic": "work", "expires_at": expires_ms})
    await eventually(lambda: time.time() * 1000 > expires_ms)

    service.spawn("consumers")

    assert (await service.settled(accepted["id"]))["status"] == "expired"
    assert service.records() == []


async def test_several_partitions_are_dispatched_and_consumed_without_a_leader(make_service: MakeService) -> None:
    """With three partitions and two of each process, every message of a large batch is started once, whichever holds it."""
    service = make_service(Partitions=3)
    await service.start(dispatchers=2, consumers=2)
    batch = [{"topic": "work", "delay": "300ms"} for _ in range(1600)]

    _, accepted = await service.call("POST", "/messages/batch", batch)

    await service.all_ended(1600)
    await service.drained()
    assert sorted(one["id"] for one in service.records("start")) == sorted(accepted["ids"])
    assert {message_id.split("-")[1] for message_id in accepted["ids"]} == {"0", "1", "2"}


@pytest.mark.leaves("dead")
async def test_more_partitions_strand_no_message(make_service: MakeService) -> None:
    """Stored with one partition, a message is found, cancelled, replayed, retried and delivered by processes with four."""
    before = make_service(Partitions=1, Retry__InitialMs=3000, Retry__Jitter=0)
    await before.start()
    orders: dict[str, dict[str, object]] = {
        "waiting": {"delay": "3s"},
        "later": {"delay": "1h"},
        "retrying": {"body": {"fail": 1}},
        "dead": {"body": {"fail": 1}, "retry": {"max_attempts": 1}},
    }
    ids = {name: (await before.call("POST", "/messages", {"topic": "work", **order}))[1]["id"] for name, order in orders.items()}
    assert (await before.settled(ids["dead"]))["status"] == "dead"
    await eventually(lambda: ids["retrying"] in {one["id"] for one in before.records("start")}, what="it has failed once")
    await before.stop()

    after = make_service(Partitions=4)
    await after.start()

    assert (await after.call("GET", f"/messages/{ids['later']}"))[1]["status"] == "scheduled"
    assert (await after.call("DELETE", f"/messages/{ids['later']}"))[0] == 200
    assert [one["id"] for one in (await after.call("GET", "/dead-letters"))[1]["items"]] == [ids["dead"]]
    assert (await after.call("POST", f"/dead-letters/{ids['dead']}/replay"))[0] == 202
    assert (await after.settled(ids["waiting"]))["attempts"] == 1
    assert (await after.settled(ids["retrying"]))["attempts"] == 2
    dead_again = await after.settled(ids["dead"])
    assert (dead_again["status"], dead_again["attempts"]) == ("dead", 1)
    assert (await after.call("GET", f"/messages/{ids['later']}"))[1]["status"] == "cancelled"


async def test_a_paused_topic_delivers_nothing_new_until_it_is_resumed(make_service: MakeService) -> None:
    """What is accepted meanwhile waits, also what was dispatched before; another topic goes on; then all of it is delivered."""
    service = make_service()
    await service.start(consumers=2, dispatchers=2)
    assert (await service.call("POST", "/topics/work/pause"))[1]["paused"] is True
    known_s = time.monotonic() + 2.5
    await eventually(lambda: time.monotonic() > known_s, what="all processes know of the pause")

    held = [(await service.call("POST", "/messages", {"topic": "work"}))[1]["id"] for _ in range(5)]
    for _ in range(5):
        _, other = await service.call("POST", "/messages", {"topic": "async-work"})
        await service.settled(other["id"])

    assert [one for one in service.records("start") if one["id"] in held] == []
    _, topic = await service.call("GET", "/topics/work")
    assert (topic["paused"], topic["overdue"] + topic["ready"]) == (True, 5)
    await service.call("POST", "/topics/work/resume")
    for one in held:
        assert (await service.settled(one))["status"] == "delivered"
