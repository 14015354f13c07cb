"""Redis's clock as seen from here."""

from __future__ import annotations

import time

import pytest

from shared.clock import SAMPLES, RedisClock
from shared.store.partition import Store
from shared.times import format_ms


async def test_it_tells_redis_s_time_whatever_this_host_s_clock_says(store: Store) -> None:
    """Between two readings of the server, its own estimate lies between them, give or take half a round trip."""
    clock, client = store.partitions[0].clock, store.partitions[0].client

    async def server_ms() -> float:
        seconds, microseconds = await client.time()
        return int(seconds) * 1000 + int(microseconds) / 1000

    before, estimate, after = await server_ms(), clock.now_ms(), await server_ms()

    slack_ms = clock.round_trip_us / 2000 + 1
    assert clock.synchronised
    assert before - slack_ms <= estimate <= after + slack_ms, format_ms(estimate)


async def test_the_reading_with_the_shortest_round_trip_is_kept() -> None:
    """A slow answer is a bad one: it is not averaged in."""
    clock, wrong_us, readings = RedisClock(), 3_600_000_000, 0

    async def redis_time_us() -> int:
        nonlocal readings
        readings += 1
        until_ns = time.monotonic_ns() + (0 if readings == 3 else 2_000_000)
        while time.monotonic_ns() < until_ns:
            pass
        return time.time_ns() // 1000 + wrong_us + (0 if readings == 3 else 500_000_000)

    await clock.synchronise(redis_time_us)

    assert readings == SAMPLES
    assert clock.round_trip_us < 2_000
    assert -3_600_010 < clock.difference_ms() < -3_599_990


async def test_a_failed_reading_changes_nothing() -> None:
    """What the call raises is raised; the clock goes on as before."""
    clock = RedisClock()

    async def fails() -> int:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await clock.synchronise(fails)

    assert not clock.synchronised
    assert abs(clock.difference_ms()) < 1000


async def test_monotonic_and_redis_time_convert_both_ways() -> None:
    """What is planned on the monotonic clock is the same moment in Redis's time."""
    clock = RedisClock()

    async def redis_time_us() -> int:
        return 1_790_000_000_000_000

    await clock.synchronise(redis_time_us)

    now_ms = clock.now_ms()
    assert 1_790_000_000_000 - 1000 < now_ms < 1_790_000_000_000 + 1000
    assert clock.at_ms(round(clock.monotonic_s(now_ms + 5_000) * 1e9) + 1_000) == now_ms + 5_000
    assert 4.5 < clock.monotonic_s(now_ms + 5_000) - time.monotonic() < 5.5
