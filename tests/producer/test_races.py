"""Cancel, change and deliver-now race with the dispatcher and with each other: exactly one wins, and the answer says which."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.producer.api import Api
from tests.producer.stages import Stages

ROUNDS = 24


async def due_now(api: Api, count: int) -> list[str]:
    told = await api.accepted("/messages/batch", [{"topic": "work", "body": str(n)} for n in range(count)])
    return list(told["ids"])


async def taken(stages: Stages, limit: int = 100) -> list[str]:
    """What the dispatcher moves, so many at a time, and a worker reads, until nothing is left."""
    found = []
    while await stages.dispatch("work", limit):
        for entry in await stages.read("work"):
            found.append(entry.record.split(b" ", 1)[0].decode())
            await stages.finish(entry)
    return found


async def test_a_cancel_either_wins_or_is_too_late(api: Api, stages: Stages) -> None:
    """200: never delivered. 409: delivered, once. Nothing in between, whichever came first."""
    outcomes = set()
    for number in range(ROUNDS):
        ids = await due_now(api, 8)

        draining = asyncio.create_task(taken(stages, 1 + number % 8))
        answers = [await api.call("DELETE", f"/messages/{one}") for one in ids]  # one by one: a worker must hold it to be first
        delivered = await draining
        delivered += await taken(stages)

        for message_id, answer in zip(ids, answers, strict=True):
            assert answer.status == (409 if message_id in delivered else 200), answer.content
            expected = "delivered" if message_id in delivered else "cancelled"
            assert (await api.message(message_id))["status"] == expected
            outcomes.add(expected)
        assert len(delivered) == len(set(delivered))
    assert outcomes == {"delivered", "cancelled"}, "the race never went both ways"


async def test_a_change_either_wins_or_is_too_late(api: Api, stages: Stages) -> None:
    """200: it waits for its new time. 409: it was delivered with the old one."""
    outcomes = set()
    for number in range(ROUNDS):
        ids = await due_now(api, 8)

        calls = [api.call("PATCH", f"/messages/{one}", {"delay": "1h", "body": "new"}) for one in ids]
        draining = asyncio.create_task(taken(stages, 1 + number % 8))
        answers = await asyncio.gather(*calls)
        delivered = await draining

        for message_id, answer in zip(ids, answers, strict=True):
            assert answer.status == (409 if message_id in delivered else 200), answer.content
            shown = await api.message(message_id)
            if answer.status == 200:
                assert (shown["status"], shown["body"]) == ("scheduled", "new")
                assert (await api.call("DELETE", f"/messages/{message_id}")).status == 200
            else:
                assert shown["status"] == "delivered"
            outcomes.add(answer.status)
    assert outcomes == {200, 409}, "the race never went both ways"


async def test_deliver_now_makes_no_second_delivery(api: Api, stages: Stages) -> None:
    """However often it is asked for while the dispatcher works: each message is delivered once."""
    for _ in range(ROUNDS // 3):
        told = await api.accepted("/messages/batch", [{"topic": "work", "delay": "1h"}] * 8)

        calls = [api.post(f"/messages/{one}/deliver") for one in told["ids"] * 3]
        draining = asyncio.create_task(taken(stages))
        answers = await asyncio.gather(*calls)
        delivered = await draining
        delivered += await taken(stages)

        assert sorted(delivered) == sorted(told["ids"])
        assert {answer.status for answer in answers} <= {202, 409}
        for message_id in told["ids"]:
            mine = [one.status for one, asked in zip(answers, told["ids"] * 3, strict=True) if asked == message_id]
            assert 202 in mine


async def test_of_two_changes_of_the_body_none_is_lost_half(api: Api) -> None:
    """Concurrent changes leave one whole message: the body of one of them, and the latest time that was accepted."""
    for _ in range(ROUNDS // 3):
        told = await api.accepted("/messages", {"topic": "work", "delay": "1h", "body": "old"})
        path = f"/messages/{told['id']}"

        changes: list[Any] = [{"body": str(n), "delay": 7200 + n} for n in range(5)]
        answers = await asyncio.gather(*(api.call("PATCH", path, one) for one in changes))

        accepted = [one["body"] for one, answer in zip(changes, answers, strict=True) if answer.status == 200]
        assert accepted
        assert {answer.status for answer in answers} <= {200, 409}
        assert (await api.message(told["id"]))["body"] in accepted
        assert (await api.call("DELETE", path)).status == 200
