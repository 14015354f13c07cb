"""tally.lua, through ``tallies``: what is counted, that it counts once, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from shared.clock import RedisClock
from shared.settings import Settings
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.connect import Client
from shared.store.partition import Store
from shared.store.scripts import TALLY
from shared.store.tallies import KEPT_MS, TENS_MS, Rates, Tallies, Tally, rates
from tests.producer.cutting import CuttingProxy
from tests.store.stage import HOUR_MS, Stage, dead, finished, open_stage, retry
from tests.support.waiting import eventually

NOW_MS = 1_790_000_003_000
NOW = NOW_MS // TENS_MS
pytestmark = pytest.mark.leaves("due:", "index", "stream:", "errors:", "dead", "idempotency:", "schedule")


def on(settings: Settings, url: str) -> Settings:
    return msgspec.structs.replace(settings, redis=msgspec.structs.replace(settings.redis, connection_string=url))


async def sums(redis: Client, prefix: str) -> dict[str, int]:
    """What all processes wrote, whenever that was."""
    found: dict[str, int] = {}
    async for key in redis.scan_iter(match=f"{prefix}:*:tally:*"):
        for field, number in (await redis.hgetall(key)).items():
            name = field.decode()
            if not name.endswith(" written"):
                found[name] = found.get(name, 0) + int(number)
    return found


async def test_processes_add_up_in_keys_that_expire(store: Store, redis: Client, prefix: str) -> None:
    """Two that count the same topic at the same time make one sum; a key lives two minutes from its last write."""
    for number in (3, 4, 5):
        store.partitions[0].counted["work", "accepted"] += number
        store.partitions[0].counted["echo", "failed"] += 1
        await Tallies(store).flush()

    assert await sums(redis, prefix) == {"work accepted": 12, "echo failed": 3}
    async for key in redis.scan_iter(match=f"{prefix}:*:tally:*"):
        assert KEPT_MS - 60_000 < await redis.pttl(key) <= KEPT_MS


async def test_who_counted_nothing_writes_nothing(store: Store, redis: Client, prefix: str) -> None:
    """A service at rest leaves no sums behind."""
    tallies = Tallies(store)
    await tallies.flush()
    await tallies.flush_last()

    assert [key async for key in redis.scan_iter(match=f"{prefix}:*:tally:*")] == []


@pytest.mark.parametrize("after_it_was_done", [True, False])
async def test_a_write_that_failed_is_sent_again_and_counts_once(
    settings: Settings, server_url: str, redis: Client, prefix: str, *, after_it_was_done: bool
) -> None:
    """Whether Redis had it or not; what was counted meanwhile comes with the next one."""
    async with CuttingProxy(server_url, TALLY) as proxy, open_stage(on(settings, proxy.url)) as stage:
        tally, counted = Tally(stage.partition), stage.partition.counted
        counted["work", "accepted"] += 1
        await tally.flush()
        proxy.cut_at_chunk(1, after_it_was_done=after_it_was_done)
        counted["work", "accepted"] += 10
        await tally.flush()
        assert await sums(redis, prefix) == {"work accepted": 11 if after_it_was_done else 1}
        counted["work", "accepted"] += 100

        await tally.flush()
        assert await sums(redis, prefix) == {"work accepted": 11}
        await tally.flush()
        assert await sums(redis, prefix) == {"work accepted": 111}


@pytest.fixture
async def own_stage(own_server_url: str, settings: Settings, prefix: str) -> AsyncIterator[Stage]:
    async with open_stage(on(settings, own_server_url)) as stage:
        yield stage
        await stage.client.config_set("maxmemory", 0)


async def test_a_full_redis_delays_counts_and_harms_nobody(own_stage: Stage, prefix: str) -> None:
    """They are kept, and written once it has room."""
    own_stage.partition.counted["work", "delivered"] += 7
    tally = Tally(own_stage.partition)
    await own_stage.client.config_set("maxmemory", 1)
    await tally.flush()
    assert await sums(own_stage.client, prefix) == {}
    await own_stage.client.config_set("maxmemory", 0)

    await tally.flush()
    await tally.flush()

    assert await sums(own_stage.client, prefix) == {"work delivered": 7}


async def test_a_rate_is_of_the_last_minute_of_whole_tens(store: Store, redis: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the ten seconds that are not over yet nor those of more than a minute before count."""
    partition = store.partitions[0]
    monkeypatch.setattr(partition.clock, "now_ms", lambda: NOW_MS)
    for tens, number in ((NOW, 1000), (NOW - 1, 50), (NOW - 4, 7), (NOW - 6, 3), (NOW - 7, 1000)):
        await redis.hset(partition.keys.tally(tens), mapping={"work accepted": number, "echo failed": number, "x written": 9})
        await redis.pexpire(partition.keys.tally(tens), KEPT_MS)

    assert await rates(store, ["echo", "work"]) == {"echo": Rates(0.0, 0.0, 1.0), "work": Rates(1.0, 0.0, 0.0)}


async def test_rates_are_those_of_all_partitions(settings: Settings, redis: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of each."""
    async with open_stage(msgspec.structs.replace(settings, partitions=3)) as stage:
        for number, partition in enumerate(stage.store.partitions):
            monkeypatch.setattr(partition.clock, "now_ms", lambda number=number: NOW_MS + number * 1_000_000)
            key = partition.keys.tally(NOW + number * 100 - 1)
            await redis.hset(key, "work delivered", str(10 + number))
            await redis.pexpire(key, KEPT_MS)

        assert (await rates(stage.store, ["work"]))["work"] == Rates(0.0, 0.55, 0.0)


async def test_what_is_stored_counts_as_accepted_once(store: Store) -> None:
    """Alone and in batches, and not again by a repeat with the same idempotency key."""
    draft = Draft("echo", "text", b"x", delay_ms=HOUR_MS)
    await schedule(store, [draft])
    await schedule(store, [draft] * 300)
    for _ in range(3):
        await schedule(store, [draft] * 5, "a-key")

    assert store.partitions[0].counted == {("echo", "accepted"): 306}


async def test_what_a_recurring_schedule_makes_counts_as_accepted(stage: Stage) -> None:
    """Each of its messages."""
    await stage.schedule("hourly")
    await stage.fire("hourly")
    await stage.fire("hourly")

    assert stage.partition.counted["alpha", "accepted"] == 2


async def test_a_settlement_counts_where_it_took_effect(stage: Stage) -> None:
    """As what its verdict says, once: what comes too late, or again, does not."""
    first, second, third, fourth = await stage.running(4)
    stage.partition.counted.clear()
    ends = [
        msgspec.structs.replace(finished(first), counts_as="delivered"),
        msgspec.structs.replace(retry(second), counts_as="failed"),
        msgspec.structs.replace(dead(third), counts_as="failed"),
        finished(fourth),
    ]

    assert await stage.settle(*ends) == [True] * 4
    assert await stage.settle(*ends) == [False] * 4

    assert stage.partition.counted == {("alpha", "delivered"): 1, ("alpha", "failed"): 2}


async def commands(client: Redis) -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in (await client.info("commandstats")).items()}


async def _ms_later(clock: RedisClock) -> None:
    """Until what was accepted now is due by Redis's own clock too."""
    accepted_ms = clock.now_ms()
    await eventually(lambda: clock.now_ms() > accepted_ms + 5, what="some milliseconds have passed")


async def test_counting_costs_no_command(own_stage: Stage) -> None:
    """Whatever is stored and settled, Redis is asked for it alone; then for one script, however much was counted."""
    draft = Draft("alpha", "text", b"x")
    await own_stage.worker().create_groups()
    for _ in range(2):  # the first time scripts are loaded, and more
        before = await commands(own_stage.client)
        for _ in range(100):
            await schedule(own_stage.store, [draft])
        await _ms_later(own_stage.partition.clock)
        assert await own_stage.dispatch() == 100
        held = await own_stage.read(100)
        await own_stage.settle(*(msgspec.structs.replace(finished(one), counts_as="delivered") for one in held))
        after = await commands(own_stage.client)

    grown = {name: number - before.get(name, 0) for name, number in after.items() if number > before.get(name, 0)}
    assert grown["evalsha"] == 100 + 1 + 1
    assert not {"hincrby", "pexpire", "hget"} & set(grown)
    assert own_stage.partition.counted == {("alpha", "accepted"): 200, ("alpha", "delivered"): 200}
    await Tally(own_stage.partition).flush()
    assert (await commands(own_stage.client))["pexpire"] == after.get("pexpire", 0) + 1
