"""``Idempotency-Key``: a repeat makes nothing new, whatever happened to the first try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.record import decode_record
from shared.settings import Settings
from shared.store.chunks import CHUNK_MESSAGES
from tests.producer.api import Api, assert_problem, stored
from tests.producer.conftest import OpenApi
from tests.producer.cutting import CuttingProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.leaves("due")

KEY = {"Idempotency-Key": "order-17"}
CALLS: dict[str, tuple[Any, Any]] = {
    "/echoAtTime": ({"time": "2030-06-01T12:00:00Z", "message": "m"}, {"time": "2030-06-01T12:00:00Z", "message": "n"}),
    "/messages": ({"topic": "work", "delay": "1h", "body": {"a": 1}}, {"topic": "work", "delay": "2h", "body": {"a": 1}}),
    "/messages/batch": ([{"topic": "work", "body": str(n)} for n in range(CHUNK_MESSAGES + 100)], [{"topic": "work"}]),
}
"""Per creating call: a request, and another one."""


def ids(told: Any) -> list[str]:
    return list(told["ids"]) if "ids" in told else [told["id"]]


async def lying(redis: Redis, prefix: str, *topics: str) -> list[str]:
    """The id of every message in the due sets."""
    found: list[Any] = []
    for topic in topics or ("work", "echo"):
        found += await redis.zrange(f"{prefix}:{{0}}:due:{topic}", 0, -1)
    return [decode_record(member).id for member in found]


@pytest.mark.parametrize("path", CALLS)
async def test_a_repeat_gives_the_first_ids_and_stores_nothing(api: Api, redis: Redis, prefix: str, path: str) -> None:
    """However often the same request comes, it is one; the answer says that it was a repeat, and gives the first times."""
    first = await api.accepted(path, CALLS[path][0], headers=KEY)
    before = await stored(redis, prefix)

    repeats = [await api.accepted(path, CALLS[path][0], headers=KEY) for _ in range(3)]

    assert "deduplicated" not in first
    assert repeats == [{**first, "deduplicated": True}] * 3
    assert await stored(redis, prefix) == before
    assert sorted(await lying(redis, prefix)) == sorted(ids(first))


@pytest.mark.parametrize("path", CALLS)
async def test_other_content_under_the_same_key_is_a_conflict(api: Api, redis: Redis, prefix: str, path: str) -> None:
    """A key stands for one request: another one with it is refused, and nothing of it is stored."""
    await api.accepted(path, CALLS[path][0], headers=KEY)
    before = await stored(redis, prefix)

    answer = await api.post(path, CALLS[path][1], headers=KEY)

    assert_problem(answer, 409, "Idempotency-Key", says="another content")
    assert await stored(redis, prefix) == before


async def test_a_key_is_for_all_creating_calls_together(api: Api) -> None:
    """The same key on another resource with other content is a conflict there too."""
    await api.accepted("/messages", CALLS["/messages"][0], headers=KEY)

    assert_problem(await api.post("/echoAtTime", CALLS["/echoAtTime"][0], headers=KEY), 409, "Idempotency-Key")


async def test_a_repeat_may_be_written_otherwise_and_traced_anew(api: Api) -> None:
    """A retry is a new request on the wire: another trace, request id or order of fields does not make it another message."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{}-01"
    first = await api.accepted(
        "/messages", data=b'{"topic": "work", "deliver_at": 1906545600}', headers={**KEY, "traceparent": trace.format(1)}
    )

    repeat = await api.accepted(
        "/messages",
        data=b'{"deliver_at":"2030-06-01T12:00:00Z","topic":"work"}',
        headers={**KEY, "traceparent": trace.format(2), "X-Request-Id": "second-try"},
    )

    assert repeat == {**first, "deduplicated": True}


async def test_without_a_key_equal_requests_are_two_messages(api: Api, redis: Redis, prefix: str) -> None:
    """Nobody asked for anything else."""
    told = [await api.accepted("/messages", CALLS["/messages"][0]) for _ in range(2)]

    assert "deduplicated" not in told[1]
    assert len(set(await lying(redis, prefix))) == 2


@pytest.mark.parametrize("path", CALLS)
async def test_concurrent_equal_requests_make_one(
    open_api: OpenApi, settings: Settings, redis: Redis, prefix: str, path: str
) -> None:
    """Many at once over two producers: all get the same ids, one was the first, and each message lies there once."""
    apis = [await open_api(settings), await open_api(settings)]

    told = await asyncio.gather(*(apis[n % 2].accepted(path, CALLS[path][0], headers=KEY) for n in range(12)))

    assert len({tuple(ids(one)) for one in told}) == 1
    assert sum(1 for one in told if "deduplicated" not in one) == 1
    assert sorted(await lying(redis, prefix)) == sorted(ids(told[0]))


async def test_a_key_is_forgotten_after_its_time(open_api: OpenApi, settings: Settings, redis: Redis, prefix: str) -> None:
    """``Producer.IdempotencyMs`` bounds how long a key is kept: Redis itself drops it."""
    limits = msgspec.structs.replace(settings.producer, idempotency_ms=50_000)
    api = await open_api(msgspec.structs.replace(settings, producer=limits))

    await api.accepted("/messages", CALLS["/messages"][0], headers=KEY)

    (key,) = [key async for key in redis.scan_iter(match=f"{prefix}:{{0}}:idempotency:*")]
    assert 40_000 < await redis.pttl(key) <= 50_000


@pytest.fixture
async def proxy(server_url: str) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(server_url) as running:
        yield running


@pytest.mark.parametrize("with_key", [True, False])
@pytest.mark.parametrize("reply_lost", [False, True])
async def test_a_batch_that_is_cut_off_is_completed_by_its_repeat(
    open_api: OpenApi, settings: Settings, proxy: CuttingProxy, redis: Redis, prefix: str, *, with_key: bool, reply_lost: bool
) -> None:
    """503 with the ids and a key; repeating with that key stores the rest, and nothing twice."""
    at_proxy = msgspec.structs.replace(settings.redis, connection_string=proxy.url)
    api = await open_api(msgspec.structs.replace(settings, redis=at_proxy))
    content = [{"topic": "work", "deliver_at": "2030-06-01T12:00:00Z", "body": str(n)} for n in range(2 * CHUNK_MESSAGES + 100)]
    await api.accepted("/messages", {"topic": "echo"})  # the script is loaded, the connection open

    proxy.cut_at_chunk(2, after_it_was_done=reply_lost)
    cut_off = await api.post("/messages/batch", content, headers=KEY if with_key else {})

    assert_problem(cut_off, 503, says="a repeat with the idempotency_key completes")
    assert cut_off.headers["retry-after"] == "1"
    told = cut_off.json
    assert len(told["ids"]) == len(set(told["ids"])) == len(content)
    assert (told["idempotency_key"] == KEY["Idempotency-Key"]) is with_key
    there = set(await lying(redis, prefix, "work"))
    assert len(there) == CHUNK_MESSAGES * (2 if reply_lost else 1)
    assert there <= set(told["ids"])

    repeat = await api.accepted("/messages/batch", content, headers={"Idempotency-Key": told["idempotency_key"]})

    assert repeat["ids"] == told["ids"]
    assert repeat["deduplicated"] is True
    assert sorted(await lying(redis, prefix, "work")) == sorted(told["ids"])


@pytest.mark.parametrize("reply_lost", [False, True])
async def test_a_single_message_that_is_cut_off_says_how_to_find_out(
    open_api: OpenApi, settings: Settings, proxy: CuttingProxy, redis: Redis, prefix: str, *, reply_lost: bool
) -> None:
    """Without a key nobody can repeat safely, so the 503 names the address that tells whether the message was stored."""
    at_proxy = msgspec.structs.replace(settings.redis, connection_string=proxy.url)
    api = await open_api(msgspec.structs.replace(settings, redis=at_proxy))
    await api.accepted("/messages", {"topic": "echo"})  # the script is loaded, the connection open

    proxy.cut_at_chunk(1, after_it_was_done=reply_lost)
    cut_off = await api.post("/messages", {"topic": "work", "delay": "1h"})

    (message_id,) = cut_off.json["ids"]
    assert_problem(cut_off, 503, says=f"GET /messages/{message_id} tells whether it was stored")
    assert "with an Idempotency-Key a repeat is safe" in cut_off.json["detail"]
    assert "idempotency_key" not in cut_off.json
    assert (await api.get(f"/messages/{message_id}")).status == (200 if reply_lost else 404)


async def test_a_repeat_after_the_message_expired_still_gets_the_first_answer(api: Api) -> None:
    """Somebody who lost the answer learns the id also when ``expires_at`` has passed meanwhile."""
    expires_ms = int(time.time() * 1000) + 200
    content = {"topic": "work", "expires_at": expires_ms}
    first = await api.accepted("/messages", content, headers=KEY)
    await eventually(lambda: time.time() * 1000 > expires_ms + 50)
    assert_problem(await api.post("/messages", content), 422, "expires_at")

    assert await api.accepted("/messages", content, headers=KEY) == {**first, "deduplicated": True}
