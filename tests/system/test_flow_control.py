"""Flow control with real processes: limits hold over all workers and dispatchers, and nothing waits for ever."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import pytest

from tests.system.conftest import MakeService
from tests.system.service import Service

pytestmark = pytest.mark.leaves("flow:work:limits", "flow:work:log")

KEYS = "/topics/work/flow-keys"


async def send(service: Service, flow_key: str, count: int, **order: Any) -> list[str]:
    batch = [{"topic": "work", "flow_key": flow_key, "body": order} for _ in range(count)]
    status, told = await service.call("POST", "/messages/batch", batch)
    assert status == 202
    return list(told["ids"])


def most_at_once(service: Service, ids: list[str]) -> int:
    """By the order in which starts and ends were written to one file."""
    most, at_work = 0, 0
    for one in service.records():
        if one["id"] in ids:
            at_work += 1 if one["event"] == "start" else -1
            most = max(most, at_work)
    return most


async def test_deliveries_at_once_are_limited_over_all_workers(make_service: MakeService) -> None:
    """Two dispatchers, two workers with ten threads each: never more than three of a key run, and another key goes on."""
    service = make_service()
    await service.start(dispatchers=2, consumers=0)
    assert (await service.call("PUT", f"{KEYS}/slow", {"concurrency": 3}))[0] == 200
    slow, free = await send(service, "slow", 40, sleep=0.02), await send(service, "free", 40, sleep=0.02)
    service.spawn("consumers")
    service.spawn("consumers")

    await service.all_ended(80)

    assert 2 <= most_at_once(service, slow) <= 3
    assert most_at_once(service, free) > 3
    assert sorted(one["id"] for one in service.records("start")) == sorted([*slow, *free])
    await service.drained()
    _, shown = await service.call("GET", f"{KEYS}/slow")
    assert (shown["running"], shown["waiting"]) == (0, 0)


async def test_messages_a_period_are_limited_over_all_dispatchers(make_service: MakeService) -> None:
    """In no 200 ms more than four are let through, wherever they begin; the retries of one that fails count as well."""
    service = make_service(Retry__InitialMs=1)
    await service.start(dispatchers=2, consumers=2)
    assert (await service.call("PUT", f"{KEYS}/few", {"rate": 4, "period": "200ms"}))[0] == 200

    ids = await send(service, "few", 17, fail=1)
    await service.all_ended(17)
    await service.drained()

    let_through = []
    for one in ids:
        _, told = await service.call("GET", f"/messages/{one}")
        assert (told["status"], told["attempts"]) == ("delivered", 2)
    let_through = sorted(one["started_ms"] for one in service.records("start"))
    assert len(let_through) == 34
    # A start comes a little after the message was let through: 160 of the 200 ms leave room for that.
    assert max(bisect_left(let_through, at_ms + 160) - place for place, at_ms in enumerate(let_through)) <= 4
    assert let_through[-1] - let_through[0] >= 8 * 200 - 40


async def test_a_worker_that_dies_keeps_no_place_for_ever(make_service: MakeService) -> None:
    """Its message is claimed with its place, which the next in line gets when that is over; none runs beside it."""
    service = make_service(Consumers__LeaseMs=1_000, Consumers__GraceMs=500)
    await service.start(consumers=0)
    await service.call("PUT", f"{KEYS}/one", {"concurrency": 1})
    doomed = service.spawn("consumers")
    ids = await send(service, "one", 3, sleep=0.5)

    await service.all_ended(1)
    doomed.kill()
    service.spawn("consumers")
    await service.all_ended(3)

    assert sorted({one["id"] for one in service.records("start")}) == sorted(ids)
    await service.drained()


@pytest.mark.parametrize("at_once", [1, 2])
async def test_ordered_messages_are_not_overtaken_while_one_is_retried(make_service: MakeService, at_once: int) -> None:
    """Two of eight fail twice, with two dispatchers and two workers: never more than so many are under way, in their order."""
    service = make_service(Retry__InitialMs=100, Retry__Jitter=0)
    await service.start(dispatchers=2, consumers=2)
    await service.call("PUT", f"{KEYS}/queue", {"concurrency": at_once})
    batch = [
        {"topic": "work", "flow_key": "queue", "ordered": True, "body": {"sleep": 0.01, "fail": 2 if number in {1, 4} else 0}}
        for number in range(8)
    ]
    status, told = await service.call("POST", "/messages/batch", batch)
    assert status == 202
    await service.all_ended(8)

    ids: list[str] = told["ids"]
    events = [(one["event"], one["id"]) for one in service.records()]
    starts = list(dict.fromkeys(one for event, one in events if event == "start"))
    under_way: set[str] = set()
    most = 0
    for event, one in events:
        (under_way.add if event == "start" else under_way.discard)(one)
        most = max(most, len(under_way))
    assert most == at_once
    assert len(events) == 8 * 2 + 2 * 2, "each of the two was begun twice without coming to its end"
    assert all(abs(starts.index(one) - place) < at_once for place, one in enumerate(ids))
    await service.drained()
    _, shown = await service.call("GET", f"{KEYS}/queue")
    assert (shown["running"], shown["waiting"]) == (0, 0)


async def test_a_key_and_a_topic_pause_while_messages_are_accepted(make_service: MakeService) -> None:
    """They go on when they are resumed, within the time that is promised."""
    service = make_service()
    await service.start()
    for path in (f"{KEYS}/a", "/topics/work"):
        assert (await service.call("POST", f"{path}/pause"))[0] == 200
    (held,) = await send(service, "a", 1)
    (other,) = await send(service, "b", 1)
    assert (await service.call("POST", "/topics/work/resume"))[0] == 200
    await service.settled(other)
    assert (await service.call("GET", f"/messages/{held}"))[1]["status"] == "scheduled"

    assert (await service.call("POST", f"{KEYS}/a/resume"))[0] == 200
    assert (await service.settled(held))["status"] == "delivered"


async def test_a_topic_has_a_limit_of_its_settings(make_service: MakeService) -> None:
    """Over messages with and without a flow key, whatever their priority, in four partitions."""
    topics = '[{"Name": "work", "Handler": "tests.system.recording", "Limit": {"Concurrency": 2}}]'
    service = make_service(Topics=topics, Partitions=4)
    await service.start(dispatchers=2, consumers=2)
    fields = [{}, {"flow_key": "a"}, {"flow_key": "b"}, {"priority": "high"}]

    ids: list[str] = []
    for number in range(32):
        status, told = await service.call("POST", "/messages", {"topic": "work", "body": {"sleep": 0.02}, **fields[number % 4]})
        assert status == 202
        ids.append(told["id"])
    await service.all_ended(32)

    assert 1 <= most_at_once(service, ids) <= 2
    await service.drained()


async def test_a_flow_key_holds_over_partitions(make_service: MakeService) -> None:
    """All its messages lie in one, in a batch with an idempotency key as well, and a repeat finds them."""
    service = make_service(Partitions=4)
    await service.start(dispatchers=2, consumers=2)
    await service.call("PUT", f"{KEYS}/one", {"concurrency": 1})
    batch = [{"topic": "work", "body": {"sleep": 0.02}, **({"flow_key": "one"} if number % 2 else {})} for number in range(20)]

    answers = [await service.call("POST", "/messages/batch", batch, headers={"Idempotency-Key": "the-same"}) for _ in range(2)]
    (first, told), (again, repeated) = answers
    assert (first, again, repeated["ids"], repeated["deduplicated"]) == (202, 202, told["ids"], True)
    await service.all_ended(20)

    limited = told["ids"][1::2]
    assert len({one.rsplit("-", 2)[1] for one in limited}) == 1
    assert most_at_once(service, limited) == 1
    assert len(service.records("start")) == 20
    await service.drained()
