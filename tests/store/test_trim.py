"""trim.lua, through ``due.trim``."""

from __future__ import annotations

import pytest

from shared.settings import RetentionSettings
from shared.store import due
from shared.store.connect import Client
from tests.store.stage import HOUR_MS, Stage, contents, finished, id_of

KEEP = RetentionSettings(dead_letters_ms=HOUR_MS)


async def delivered(stage: Stage, redis: Client, *expires_ms: int) -> list[str]:
    """Finished messages that expire at those times."""
    entries = await stage.running(len(expires_ms))
    await stage.settle(*[finished(entry) for entry in entries])
    ids = [id_of(entry) for entry in entries]
    await redis.zadd(stage.keys.finished_expiry, dict(zip(ids, expires_ms, strict=True)))
    return ids


async def died(stage: Stage, redis: Client, *died_ms: int) -> list[str]:
    """Dead letters that died at those times."""
    ids = [await stage.dead() for _ in died_ms]
    await redis.zadd(stage.keys.dead, dict(zip(ids, died_ms, strict=True)))
    return ids


@pytest.mark.leaves("dead")
async def test_what_is_within_age_and_cap_stays(stage: Stage, redis: Client, prefix: str) -> None:
    """Nothing is removed before its time, and nothing is counted."""
    now_ms = await stage.now_ms()
    await delivered(stage, redis, now_ms + HOUR_MS)
    await died(stage, redis, now_ms - HOUR_MS // 2)
    before = await contents(redis, prefix)

    assert await due.trim(stage.partition, KEEP, 100) == (0, 0, 0)

    assert await contents(redis, prefix) == before


async def test_an_empty_partition_stays_empty(stage: Stage, redis: Client, prefix: str) -> None:
    """With nothing to keep, nothing is made."""
    before = await contents(redis, prefix)

    assert await due.trim(stage.partition, KEEP, 100) == (0, 0, 0)

    assert await contents(redis, prefix) == before


async def test_finished_messages_past_their_retention_go(stage: Stage, redis: Client) -> None:
    """Whose time has come is gone from both keys; the rest stays."""
    now_ms = await stage.now_ms()
    _, kept, _ = await delivered(stage, redis, now_ms - 1, now_ms + HOUR_MS, now_ms)

    assert await due.trim(stage.partition, KEEP, 100) == (2, 0, 0)

    assert await redis.hkeys(stage.keys.finished) == [kept.encode()]
    assert await redis.zrange(stage.keys.finished_expiry, 0, -1) == [kept.encode()]


async def test_finished_messages_over_the_cap_go_the_first_to_expire_first(stage: Stage, redis: Client) -> None:
    """A cap of two keeps the two that would stay longest."""
    now_ms = await stage.now_ms() + HOUR_MS
    ids = await delivered(stage, redis, now_ms + 3, now_ms + 1, now_ms + 4, now_ms + 2)

    assert await due.trim(stage.partition, RetentionSettings(max_delivered=2), 100) == (2, 0, 0)

    assert set(await redis.hkeys(stage.keys.finished)) == {ids[0].encode(), ids[2].encode()}


@pytest.mark.leaves("dead")
async def test_dead_letters_past_their_retention_go_and_are_counted(stage: Stage, redis: Client) -> None:
    """Letters and records go together; a counter that outlives processes tells how many."""
    now_ms = await stage.now_ms()
    _, kept, _ = await died(stage, redis, now_ms - HOUR_MS, now_ms - HOUR_MS // 2, now_ms - 2 * HOUR_MS)

    assert await due.trim(stage.partition, KEEP, 100) == (0, 2, 0)

    assert await redis.zrange(stage.keys.dead, 0, -1) == [kept.encode()]
    assert await redis.hkeys(stage.keys.dead_records) == [kept.encode()]
    assert await redis.hgetall(stage.keys.counts) == {b"dead_letters_dropped": b"2"}


@pytest.mark.leaves("dead")
async def test_dead_letters_over_the_cap_go_the_oldest_first(stage: Stage, redis: Client) -> None:
    """The newest stay; dropped ones add to the counter."""
    now_ms = await stage.now_ms()
    _, newest, _ = await died(stage, redis, now_ms - 3, now_ms - 1, now_ms - 2)
    await redis.hset(stage.keys.counts, "dead_letters_dropped", 5)

    assert await due.trim(stage.partition, RetentionSettings(max_dead_letters=1), 100) == (0, 0, 2)

    assert await redis.hkeys(stage.keys.dead_records) == [newest.encode()]
    assert await redis.hget(stage.keys.counts, "dead_letters_dropped") == b"7"


@pytest.mark.leaves("dead")
async def test_a_call_removes_no_more_than_its_limit_of_each_kind(stage: Stage, redis: Client) -> None:
    """However much is over, one call is short; called again until less comes back, everything goes."""
    now_ms = await stage.now_ms()
    await delivered(stage, redis, *[now_ms - 1] * 5)
    await died(stage, redis, *[now_ms - 2 * HOUR_MS] * 3, *[now_ms] * 4)
    keep = RetentionSettings(dead_letters_ms=HOUR_MS, max_dead_letters=1)

    answers = [await due.trim(stage.partition, keep, 2) for _ in range(4)]

    assert answers == [(2, 2, 2), (2, 0, 2), (1, 0, 0), (0, 0, 0)]
    assert await redis.zcard(stage.keys.dead) == 1


async def test_age_comes_before_the_cap_within_one_limit(stage: Stage, redis: Client) -> None:
    """What expired counts against the limit first; the cap takes what is left of it."""
    now_ms = await stage.now_ms()
    await delivered(stage, redis, now_ms - 1, now_ms - 1, *[now_ms + HOUR_MS + place for place in range(3)])
    keep = RetentionSettings(max_delivered=0)

    assert await due.trim(stage.partition, keep, 3) == (3, 0, 0)
    assert await redis.hlen(stage.keys.finished) == 2
    assert await due.trim(stage.partition, keep, 3) == (2, 0, 0)
    assert await redis.exists(stage.keys.finished, stage.keys.finished_expiry) == 0
