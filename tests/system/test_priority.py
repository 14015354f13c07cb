"""Priority over HTTP, with real processes: what is urgent goes first, and nothing starves."""

from __future__ import annotations

from itertools import pairwise

from tests.system.conftest import MakeService

EACH = 60
LEVELS = ("low", "normal", "high")


async def test_levels_with_a_backlog_share_a_worker_and_none_starves(make_service: MakeService) -> None:
    """A single thread, and sixty messages of each level that are due already, those of low priority first: of the first fifty
    that start most are high, and of any twenty while all wait one at least is low."""
    service = make_service(Consumers__Threads=1, Consumers__BatchSize=1)
    await service.start(consumers=0)
    body = {"sleep": 0.002}
    batch = [{"topic": "work", "body": body, "priority": level} for level in LEVELS for _ in range(EACH)]
    status, told = await service.call("POST", "/messages/batch", batch)
    assert status == 202
    levels = [level for level in LEVELS for _ in range(EACH)]
    level_of = dict(zip(told["ids"], levels, strict=True))

    service.spawn("consumers")
    await service.all_ended(len(batch))

    order = [level_of[one["id"]] for one in service.records("start")]
    assert len(order) == len(batch)
    first = order[:50]
    assert first.count("high") > first.count("normal") > first.count("low") > 0
    while_all_wait = order[: len(order) - 1 - order[::-1].index("high")]
    places = [place for place, level in enumerate(while_all_wait) if level == "low"]
    assert max(later - earlier for earlier, later in pairwise([-1, *places, len(while_all_wait)])) <= 20
    await service.drained()


async def test_a_retry_and_a_replay_keep_their_priority(make_service: MakeService) -> None:
    """A message that fails, dies and is replayed stays in its lane, and a change at the replay moves it."""
    service = make_service(Retry__InitialMs=1, Retry__MaxAttempts=2)
    await service.start()
    fields = {"topic": "work", "body": {"fail": 2}, "priority": "high"}
    status, told = await service.call("POST", "/messages", fields)
    assert status == 202
    dead = await service.settled(told["id"])
    assert (dead["status"], dead["priority"]) == ("dead", "high")

    status, replayed = await service.call("POST", f"/dead-letters/{told['id']}/replay", {"delay": "1d"})
    assert (status, replayed["priority"]) == (202, "high")
    _, moved = await service.call("PATCH", f"/messages/{told['id']}", {"priority": "low"})
    assert moved["priority"] == "low"
    assert (await service.call("POST", f"/messages/{told['id']}/deliver"))[0] == 202
    assert (await service.settled(told["id"]))["status"] == "dead"
    status, replayed = await service.call("POST", f"/dead-letters/{told['id']}/replay", {"priority": "normal", "body": {}})
    assert (status, replayed["priority"]) == (202, "normal")
    assert (await service.settled(told["id"]))["status"] == "delivered"
    await service.drained()
