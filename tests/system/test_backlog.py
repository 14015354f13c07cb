"""More than can be held at once: it waits where it is safe, and is delivered later."""

from __future__ import annotations

from redis.asyncio import Redis

from tests.support.waiting import eventually
from tests.system.conftest import MakeService

MOST = 10
MESSAGES = 300


async def test_what_a_full_stream_cannot_take_waits_in_its_set_and_is_delivered(
    make_service: MakeService, redis: Redis, prefix: str
) -> None:
    """Thirty times as much as the stream may hold, due at once: it never holds more, nothing is lost and nothing doubled."""
    service = make_service(Dispatcher__MaxStreamLength=MOST)
    await service.start(consumers=0)
    stream, due = f"{prefix}:{{0}}:stream:work:normal", f"{prefix}:{{0}}:due:work"

    status, told = await service.call("POST", "/messages/batch", [{"topic": "work", "body": {}} for _ in range(MESSAGES)])
    assert status == 202

    async def full() -> bool:
        return bool(await redis.xlen(stream) == MOST)

    await eventually(full, what="the stream is full")
    assert await redis.zcard(due) == MESSAGES - MOST
    _, waiting = await service.call("GET", f"/messages/{told['ids'][-1]}")
    assert waiting["status"] in {"scheduled", "ready"}
    service.spawn("consumers")
    lengths = set[int]()

    async def delivered() -> bool:
        lengths.add(await redis.xlen(stream))
        return len({one["id"] for one in service.records("end")}) == MESSAGES

    await eventually(delivered, within_s=60, what="all are delivered")
    assert max(lengths) <= MOST
    assert sorted(one["id"] for one in service.records("start")) == sorted(told["ids"])
    await service.drained()
