"""What is too slow, too many or too much at once is refused early; whoever behaves is served meanwhile."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings
from tests.producer.api import Api, assert_problem, stored
from tests.producer.conftest import OpenApi
from tests.producer.raw import RawConnection, head
from tests.support.waiting import eventually

TIMEOUT_MS = 400
BODY = b'{"topic": "work"}'
WHOLE = head(content_length=len(BODY)) + BODY


async def limited(open_api: OpenApi, settings: Settings, **limits: Any) -> Api:
    """A producer with these limits."""
    return await open_api(msgspec.structs.replace(settings, producer=msgspec.structs.replace(settings.producer, **limits)))


async def dripped(connection: RawConnection, data: bytes) -> None:
    """Sends a byte at a time, so slowly that it would take ten times as long as is allowed. The sleep is the client's pace."""
    for byte in data:
        await connection.send(bytes([byte]))
        await asyncio.sleep(10 * TIMEOUT_MS / 1000 / len(data))


@pytest.mark.parametrize(("at_once", "slowly"), [(0, len(WHOLE) - len(BODY)), (len(WHOLE) - len(BODY), len(BODY)), (0, 4)])
async def test_what_is_sent_a_byte_at_a_time_is_given_up(
    open_api: OpenApi, settings: Settings, redis: Redis, prefix: str, at_once: int, slowly: int
) -> None:
    """A head and a body each have their time in all, however regularly bytes come: 408, closed, nothing stored."""
    api = await limited(open_api, settings, read_timeout_ms=TIMEOUT_MS)
    began_s = time.monotonic()
    async with RawConnection(api.url) as connection:
        await connection.send(WHOLE[:at_once])
        drip = asyncio.create_task(dripped(connection, WHOLE[at_once : at_once + slowly]))

        answer = await connection.answer()

        assert TIMEOUT_MS / 1000 <= time.monotonic() - began_s < 5 * TIMEOUT_MS / 1000
        assert (answer.status, answer.headers["content-type"]) == (408, "application/problem+json")
        assert "Producer.ReadTimeoutMs" in answer.json["detail"]
        assert await connection.closed()
        drip.cancel()
    assert await stored(redis, prefix) == {}


@pytest.mark.leaves("due")
async def test_slow_connections_hold_nobody_up(open_api: OpenApi, settings: Settings, redis: Redis, prefix: str) -> None:
    """Hundreds that began a head or a body and go no further: others are served at once, and all of them are let go."""
    api = await limited(open_api, settings, read_timeout_ms=1_000)
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(RawConnection(api.url)) for _ in range(300)]
        for number, connection in enumerate(slow):
            await connection.send((WHOLE[:20], WHOLE[:-5], b"")[number % 3])

        for _ in range(20):
            await asyncio.wait_for(api.accepted("/messages", {"topic": "work"}), timeout=1)

        for connection in slow:
            assert (await connection.answer()).status == 408
            assert await connection.closed()
    assert (await stored(redis, prefix))["due:work"] == 20


async def test_a_connection_may_be_quiet_between_requests(open_api: OpenApi, settings: Settings) -> None:
    """Whoever keeps a connection open for the next request is not taken for slow."""
    api = await limited(open_api, settings, read_timeout_ms=100)
    async with RawConnection(api.url) as connection:
        await connection.send(head("GET", "/health/live"))
        assert (await connection.answer()).status == 200
        last_s = time.monotonic()
        await eventually(lambda: time.monotonic() - last_s > 0.3)

        await connection.send(head("GET", "/health/live"))
        assert (await connection.answer()).status == 200


async def test_beyond_the_most_connections_the_quietest_is_closed(open_api: OpenApi, settings: Settings) -> None:
    """Half-open connections cannot keep others out: the one that was silent longest makes room, one that is used stays."""
    api = await limited(open_api, settings, max_connections=10)
    async with AsyncExitStack() as stack:
        used = await stack.enter_async_context(RawConnection(api.url))
        silent = [await stack.enter_async_context(RawConnection(api.url)) for _ in range(40)]
        for number, connection in enumerate(silent):
            await connection.send(b"GET / HT" if number % 2 else b"")
        for _ in range(3):
            fresh = await stack.enter_async_context(RawConnection(api.url))
            await fresh.send(head("GET", "/health/live"))
            assert (await fresh.answer()).status == 200

        assert all([await connection.closed() for connection in silent[:30]])
        again = await stack.enter_async_context(RawConnection(api.url))
        await again.send(head("GET", "/health/live"))
        assert (await again.answer()).status == 200
        assert await used.closed()


@pytest.mark.leaves("due")
async def test_beyond_the_most_requests_at_work_the_next_is_refused(
    open_api: OpenApi, settings: Settings, redis: Redis, prefix: str
) -> None:
    """503 at once with Retry-After, and nothing of it is stored; health is answered; with room again, all goes on."""
    api = await limited(open_api, settings, max_in_flight=3)
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(RawConnection(api.url)) for _ in range(3)]
        for connection in held:
            await connection.send(WHOLE[:-1])

        async def full() -> bool:
            return (await api.post("/messages", {"topic": "work"})).status == 503

        await eventually(full)
        refused = await api.post("/messages", {"topic": "work"})
        assert_problem(refused, 503, says="3 requests are being worked on (Producer.MaxInFlight); nothing was stored")
        assert refused.headers["retry-after"] == "1"
        assert_problem(await api.get("/dead-letters"), 503, says="Producer.MaxInFlight")
        assert (await api.get("/health/live")).status == 200
        before = (await stored(redis, prefix)).get("due:work", 0)

        for connection in held:
            await connection.send(WHOLE[-1:])
            assert (await connection.answer()).status == 202

    assert (await stored(redis, prefix))["due:work"] == before + 3
    await api.accepted("/messages", {"topic": "work"})


@pytest.mark.leaves("due")
@pytest.mark.parametrize("how", ["length", "chunks"])
async def test_beyond_the_most_bytes_at_work_the_next_is_refused(
    open_api: OpenApi, settings: Settings, redis: Redis, prefix: str, how: str
) -> None:
    """Bodies on their way count by what they say they will be, or by what has come; small requests of others fit beside them."""
    api = await limited(open_api, settings, max_body_bytes=1000, max_request_bytes=40_000, max_in_flight_bytes=50_000)
    large = BODY.ljust(39_000)
    size = {"content_length": len(large)} if how == "length" else {"transfer_encoding": "chunked"}
    begun = large[:-1] if how == "length" else b"%x\r\n" % len(large) + large[:-1]
    async with RawConnection(api.url) as holding:
        await holding.send(head(**size) + begun)

        async def full() -> bool:
            return (await api.post("/messages", data=BODY.ljust(20_000))).status == 503

        await eventually(full)
        refused = await api.post("/messages", data=BODY.ljust(20_000))
        assert_problem(refused, 503, says="bytes of requests are being worked on (Producer.MaxInFlightBytes)")
        before = (await stored(redis, prefix)).get("due:work", 0)
        await api.accepted("/messages", {"topic": "work"})

        await holding.send(large[-1:] + (b"" if how == "length" else b"\r\n0\r\n\r\n"))
        assert (await holding.answer()).status == 202

    await api.accepted("/messages", data=BODY.ljust(20_000))
    assert (await stored(redis, prefix))["due:work"] == before + 3
