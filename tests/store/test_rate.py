"""rate.lua, through ``rates.take``. The limits are slow or fast enough that no machine's pace decides."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.errors import Outage
from shared.settings import Settings
from shared.store.connect import Client
from shared.store.partition import Store
from shared.store.rates import Limit, take
from tests.store.stage import Stage, open_stage

SLOW = Limit("billing", per_s=0.01, burst=5)
"""One in 100 seconds."""
INTERVAL_MS = 100_000


async def test_a_burst_passes_and_what_follows_waits(store: Store) -> None:
    """As many as the burst at once; then one an interval, and the answer says how long until the next."""
    assert [await take(store, SLOW, 1, 1) for _ in range(5)] == [0] * 5

    wait_ms = await take(store, SLOW, 1, 1)

    assert INTERVAL_MS - 60_000 < wait_ms <= INTERVAL_MS


async def test_what_is_refused_is_not_counted(store: Store, redis: Client, prefix: str) -> None:
    """Who asks too often waits no longer for it."""
    await take(store, SLOW, 5, 5)
    before = await redis.get(f"{prefix}:{{0}}:rate:billing")

    assert all([await take(store, SLOW, 1, 1) for _ in range(10)])

    assert await redis.get(f"{prefix}:{{0}}:rate:billing") == before


async def test_room_comes_back_with_time(store: Store, redis: Client, prefix: str) -> None:
    """An interval later there is room for one, and not for two."""
    await take(store, SLOW, 5, 5)
    key = f"{prefix}:{{0}}:rate:billing"
    spent = float(await redis.get(key))
    await redis.set(key, f"{spent - INTERVAL_MS:.3f}", px=INTERVAL_MS)

    assert await take(store, SLOW, 2, 2) > 0
    assert await take(store, SLOW, 1, 1) == 0
    assert await take(store, SLOW, 1, 1) > 0


@pytest.mark.parametrize(("per_s", "burst"), [(0.003, 3), (0.007, 7), (0.001, 1), (1 / 3, 4)])
async def test_exactly_the_burst_has_room(store: Store, per_s: float, burst: int) -> None:
    """No rounding of an interval that is no whole number takes one away; that many at once have room too."""
    limit = Limit(f"r{burst}", per_s, burst)
    whole = Limit(f"w{burst}", per_s, burst)

    assert [await take(store, limit, 1, 1) for _ in range(burst)] == [0] * burst
    assert await take(store, whole, burst, burst) == 0
    assert await take(store, whole, burst, burst) > 0


async def test_what_needs_no_room_now_is_paid_off_by_those_that_follow(store: Store) -> None:
    """More than the burst may be counted at once; the wait afterwards is that of all of them."""
    assert await take(store, SLOW, 50, 5) == 0

    wait_ms = await take(store, SLOW, 1, 1)

    assert 46 * INTERVAL_MS - 60_000 < wait_ms <= 46 * INTERVAL_MS


async def test_limits_do_not_share_their_room(store: Store) -> None:
    """Each name has its own."""
    await take(store, SLOW, 5, 5)

    assert await take(store, Limit("ops", per_s=0.01, burst=5), 5, 5) == 0


async def test_many_processes_share_one_limit_exactly(settings: Settings, store: Store) -> None:
    """However many ask at once from wherever: as many pass as one alone would get."""
    limit = Limit("shared", per_s=0.001, burst=20)
    async with open_stage(settings, "another") as other:
        waits = await asyncio.gather(*(take(one, limit, 1, 1) for _ in range(30) for one in (store, other.store)))

    assert waits.count(0) == 20


async def test_nothing_stays_of_a_limit_that_is_not_used(stage: Stage, redis: Client, prefix: str) -> None:
    """The key lives until the whole burst is free again, no longer."""
    await take(stage.store, Limit("fast", per_s=1000, burst=10), 10, 10)
    await take(stage.store, SLOW, 2, 2)

    lives_ms = await redis.pttl(f"{prefix}:{{0}}:rate:billing")

    assert 2 * INTERVAL_MS - 60_000 < lives_ms <= 2 * INTERVAL_MS + 1
    assert await redis.pttl(f"{prefix}:{{0}}:rate:fast") <= 11


async def test_a_full_redis_is_an_outage_that_counts_nothing(own_server_url: str, settings: Settings) -> None:
    """It is for the caller to decide what an outage means."""
    redis_settings = msgspec.structs.replace(settings.redis, connection_string=own_server_url)
    async with open_stage(msgspec.structs.replace(settings, redis=redis_settings)) as stage:
        await stage.client.config_set("maxmemory", 1)
        try:
            with pytest.raises(Outage) as caught:
                await take(stage.store, SLOW, 1, 1)
        finally:
            await stage.client.config_set("maxmemory", 0)

        assert caught.value.kind == "oom"
        assert await stage.client.exists(stage.keys.rate(SLOW.name)) == 0


async def test_partitions_share_a_limit(settings: Settings, redis: Client, prefix: str) -> None:
    """A limit lies on one partition, found by its name, whichever partition a message goes to."""
    async with open_stage(msgspec.structs.replace(settings, partitions=4)) as stage:
        waits = [await take(stage.store, SLOW, 1, 1) for _ in range(6)]

    assert [wait > 0 for wait in waits] == [False] * 5 + [True]
    assert len([key async for key in redis.scan_iter(match=f"{prefix}:*:rate:*")]) == 1
