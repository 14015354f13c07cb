"""``/dead-letters``: every letter once, newest first, and a way back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings
from tests.producer.api import Api, assert_problem
from tests.producer.conftest import OpenApi
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves("dead", "index")


async def buried(api: Api, stages: Stages, count: int, topic: str = "work") -> list[str]:
    """The ids of so many new dead letters, in the order in which they were buried."""
    told = await api.accepted("/messages/batch", [{"topic": topic, "body": str(n)} for n in range(count)])
    assert await stages.dispatch(topic) == count
    entries = await stages.read(topic)
    for entry in entries:
        await stages.bury(entry, "told so", f"no {entry.record[-1:]!r}")
    by_entry = [entry.record.split(b" ", 1)[0].decode() for entry in entries]
    assert sorted(by_entry) == sorted(told["ids"])
    return by_entry


async def pages(api: Api, query: str) -> list[list[Any]]:
    """All pages, by following the cursor."""
    found, cursor = [], ""
    while True:
        page = (await api.get(f"/dead-letters?{query}{cursor}")).json
        found.append(page["items"])
        if "next_cursor" not in page:
            return found
        cursor = f"&cursor={page['next_cursor']}"
        assert len(found) < 100


async def test_without_letters_the_list_is_empty(api: Api) -> None:
    """Nothing dead: no items, none in all, no further page."""
    assert (await api.get("/dead-letters")).json.get("items", []) == []
    assert (await api.get("/dead-letters")).json["total"] == 0


async def test_a_letter_tells_everything(api: Api, stages: Stages) -> None:
    """The list shows each letter as GET of the message does, but for its way."""
    (message_id,) = await buried(api, stages, 1)

    page = (await api.get("/dead-letters")).json

    assert page["total"] == 1
    alone = await api.message(message_id)
    assert alone.pop("timeline")
    assert page["items"] == [alone]
    assert page["items"][0]["reason"] == "told so"
    assert page["items"][0]["errors"][0]["error"] == "no b'0'"


async def test_large_letters_come_fewer_at_a_time(api: Api, stages: Stages) -> None:
    """A page is bounded in bytes too, since it is held in memory; following the cursor still gives every letter once."""
    contents = [{"topic": "work", "body": str(number) * 900_000} for number in range(10)]
    told = await api.accepted("/messages/batch", contents)
    assert await all_dispatched(stages) == 10
    for entry in await stages.read("work"):
        await stages.bury(entry, "told so", "no")

    found = await pages(api, "limit=500")

    assert [len(page) for page in found] == [4, 4, 2]
    assert sorted(item["id"] for page in found for item in page) == sorted(told["ids"])


async def test_a_letter_larger_than_a_page_is_a_page(open_api: OpenApi, settings: Settings, stages: Stages) -> None:
    """Whatever ``Producer.MaxBodyBytes`` allows can be listed."""
    limits = msgspec.structs.replace(settings.producer, max_body_bytes=8 * 2**20)
    api = await open_api(msgspec.structs.replace(settings, producer=limits))
    for _ in range(2):
        await api.accepted("/messages", {"topic": "work", "body": "m" * 5 * 2**20})
        await stages.bury(await stages.run("work"), "told so", "no")

    assert [len(page) for page in await pages(api, "limit=500")] == [1, 1]


async def all_dispatched(stages: Stages) -> int:
    """How many were moved until none was left; a pass moves a mebibyte."""
    moved = 0
    while batch := await stages.dispatch("work"):
        moved += batch
    return moved


@pytest.mark.parametrize("limit", [1, 4, 11, 12, 500])
async def test_pages_hold_every_letter_once_newest_first(api: Api, stages: Stages, limit: int) -> None:
    """Following the cursor to its end gives all letters, none twice, in order."""
    await buried(api, stages, 12)

    found = await pages(api, f"limit={limit}")

    items = [item for page in found for item in page]
    assert len(items) == len({item["id"] for item in items}) == 12
    died = [item["settled_at"] for item in items]
    assert died == sorted(died, reverse=True)
    assert all(len(page) <= limit for page in found)
    assert found[-1], "the last page has no cursor, so none is empty"


@pytest.mark.parametrize("limit", [1, 7, 30])
async def test_many_letters_of_one_millisecond_are_paged_too(
    api: Api, stages: Stages, redis: Redis, prefix: str, limit: int
) -> None:
    """A cursor points between letters, not between milliseconds."""
    ids = await buried(api, stages, 30)
    await redis.zadd(f"{prefix}:{{0}}:dead", dict.fromkeys(ids, 1_790_000_000_000))

    items = [item["id"] for page in await pages(api, f"limit={limit}") for item in page]

    assert sorted(items) == sorted(ids)
    assert len(items) == 30


async def test_a_letter_that_leaves_between_pages_shifts_nothing(api: Api, stages: Stages, redis: Redis, prefix: str) -> None:
    """The letter at the cursor is replayed meanwhile: the next page goes on behind its place."""
    ids = await buried(api, stages, 10)
    await redis.zadd(f"{prefix}:{{0}}:dead", dict.fromkeys(ids, 1_790_000_000_000))
    first = (await api.get("/dead-letters?limit=4")).json
    last = first["items"][-1]["id"]

    await api.accepted(f"/dead-letters/{last}/replay", {"delay": "1h"})

    second = (await api.get(f"/dead-letters?limit=500&cursor={first['next_cursor']}")).json
    assert sorted(item["id"] for item in first["items"] + second["items"]) == sorted(ids)
    assert second["total"] == 9
    assert (await api.call("DELETE", f"/messages/{last}")).status == 200


async def test_the_list_can_be_of_one_topic(api: Api, stages: Stages) -> None:
    """``topic`` filters; the total stays that of all."""
    work, echo = await buried(api, stages, 3), await buried(api, stages, 2, "echo")

    found = {
        topic: [item["id"] for page in await pages(api, f"limit=2&topic={topic}") for item in page] for topic in ("work", "echo")
    }

    assert (sorted(found["work"]), sorted(found["echo"])) == (sorted(work), sorted(echo))
    assert (await api.get("/dead-letters?topic=echo")).json["total"] == 5
    assert (await api.get("/dead-letters?topic=nobody")).json.get("items", []) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=9.1.x", "cursor"),
        ("cursor=-1.1.x", "cursor"),
        ("cursor=0.x.y", "cursor"),
        ("cursor=0.1_0.x", "cursor"),
        ("cursor=0.%D9%A3.x", "cursor"),
        ("cursor=0." + "9" * 4500 + ".x", "cursor"),
        ("page=2", "page"),
    ],
)
async def test_a_bad_query_is_refused(api: Api, query: str, field: str) -> None:
    """422 names the parameter."""
    assert_problem(await api.get(f"/dead-letters?{query}"), 422, field)


@pytest.mark.parametrize("content", [None, {}, {"delay": 0}, {"deliver_at": 1}])
async def test_a_letter_is_replayed_at_once(api: Api, stages: Stages, redis: Redis, prefix: str, content: object) -> None:
    """It is scheduled again under its own id, with no attempt spent and no letter left behind."""
    (message_id,) = await buried(api, stages, 1)

    told = await api.accepted(f"/dead-letters/{message_id}/replay", content)

    assert (told["id"], told["status"], told["attempts"], told["body"]) == (message_id, "scheduled", 0, "0")
    assert await redis.zcard(f"{prefix}:{{0}}:dead") == 0
    entry = await stages.run("work")
    assert entry.attempts == 0
    await stages.finish(entry)
    assert (await api.message(message_id))["status"] == "delivered"


@pytest.mark.leaves("due", "index")
async def test_a_letter_is_replayed_at_a_time(api: Api, stages: Stages) -> None:
    """It waits for the time that was asked for; a second replay is too late."""
    (message_id,) = await buried(api, stages, 1)

    told = await api.accepted(f"/dead-letters/{message_id}/replay", {"deliver_at": "2030-06-01T12:00:00Z"})

    assert (told["status"], told["deliver_at"]) == ("scheduled", "2030-06-01T12:00:00.000Z")
    assert_problem(await api.post(f"/dead-letters/{message_id}/replay"), 409, says="it is scheduled")


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ({"content": {"when": 1}}, 422, "when"),
        ({"content": {"deliver_at": "x"}}, 422, "deliver_at"),
        ({"content": {"delay": 1, "deliver_at": 1}}, 422, "delay"),
        ({"data": b"{"}, 400, ""),
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "Content-Type"),
    ],
)
async def test_a_bad_replay_is_refused_and_the_letter_stays(
    api: Api, stages: Stages, sent: dict[str, Any], status: int, field: str
) -> None:
    """Nothing is taken out of the dead letters by a refused request."""
    (message_id,) = await buried(api, stages, 1)

    assert_problem(await api.post(f"/dead-letters/{message_id}/replay", **sent), status, field)

    assert (await api.message(message_id))["status"] == "dead"
