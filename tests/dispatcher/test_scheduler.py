"""The dispatcher as a whole: on time, woken, healed, honest about its health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.server import BundledServer
from dispatcher import scheduler
from dispatcher.scheduler import Dispatcher
from shared.settings import Settings
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.partition import Store
from tests.dispatcher.waiting_messages import Waiting
from tests.support.server import private_server
from tests.support.waiting import eventually

HOUR_MS = 3_600_000
NO_TICK_MS = 60_000
"""So long that what happens in a test did not come from the tick."""


def _made(store: Store, **settings: Any) -> Dispatcher:
    changed = msgspec.structs.replace(store.settings.dispatcher, **settings)
    return Dispatcher(store, msgspec.structs.replace(store.settings, dispatcher=changed))


@asynccontextmanager
async def _at_work(*dispatchers: Dispatcher) -> AsyncIterator[None]:
    """They run, and stop at the end."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(one.run(stop)) for one in dispatchers]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def _passed(dispatcher: Dispatcher) -> None:
    """Until a pass was completed after now."""
    before_s = dispatcher.passes[0].completed_s
    await eventually(lambda: dispatcher.passes[0].completed_s > before_s, what="a pass")


@dataclass
class Own:
    """A server of the test's own."""

    server: BundledServer
    store: Store
    waiting: Waiting


@pytest.fixture
async def own(settings: Settings, tmp_path: Path) -> AsyncIterator[Own]:
    with private_server(tmp_path / "own", "--appendfsync", "always") as server:
        address = msgspec.structs.replace(settings.redis, connection_string=server.url)
        store = Store(msgspec.structs.replace(settings, redis=address), "test")
        await store.synchronise()
        yield Own(server, store, Waiting(store, store.partitions[0].client))
        await store.close()


# --- when a pass runs -------------------------------------------------------------------------------------------------


@pytest.mark.leaves("stream", "index")
async def test_messages_are_moved_at_their_due_times(store: Store, waiting: Waiting) -> None:
    """Ten messages 15 ms apart, no tick, no wake-up: each is moved after its time, and before long."""
    first_ms = waiting.now_ms() + 30
    for number in range(10):
        await waiting.put(1, first_ms + number * 15)

    async with _at_work(_made(store, tick_ms=NO_TICK_MS)):
        await eventually(lambda: _is_left(waiting, 0), what="all are moved")

    lateness_ms = [added - due for added, due in await waiting.moved()]
    assert len(lateness_ms) == 10
    assert min(lateness_ms) >= 0
    assert max(lateness_ms) < 1_000


async def _is_left(waiting: Waiting, count: int) -> bool:
    return await waiting.left() == count


@pytest.mark.leaves("stream", "index", "due")
async def test_an_earlier_arrival_wakes_it(store: Store, waiting: Waiting) -> None:
    """It sleeps until a message an hour away; one that is due at once is moved at once, without a tick."""
    await waiting.put(1, waiting.now_ms() + HOUR_MS)
    dispatcher = _made(store, tick_ms=NO_TICK_MS)

    async with _at_work(dispatcher):
        await eventually(lambda: _listens(waiting), what="it listens")
        await eventually(lambda: dispatcher.passes[0].alarm._at_s is not None, what="it sleeps")
        await schedule(store, [Draft("alpha", "text", b"hello", delay_ms=30)])
        await eventually(lambda: _is_left(waiting, 1), what="the earlier one is moved")

    ((added, due),) = await waiting.moved()
    assert added >= due


async def _listens(waiting: Waiting) -> bool:
    channel = waiting.store.partitions[0].keys.wake_channel
    return bool(await waiting.redis.pubsub_numsub(channel) == [(channel.encode(), 1)])


@pytest.mark.leaves("stream", "index")
async def test_the_tick_finds_what_no_wake_up_told_of(store: Store, waiting: Waiting) -> None:
    """A message that came without a word is moved by the next tick."""
    dispatcher = _made(store, tick_ms=20)

    async with _at_work(dispatcher):
        await _passed(dispatcher)
        await waiting.put(1, waiting.now_ms() - 1)
        await eventually(lambda: dispatcher.moved == 1, what="the tick moves it")

    assert len(await waiting.moved()) == 1


@pytest.mark.leaves("stream", "index")
async def test_the_tick_needs_no_wall_clock(store: Store, waiting: Waiting) -> None:
    """With APScheduler paused, as it seems when the host's clock is set back, everything is moved all the same."""
    dispatcher = _made(store, tick_ms=20)

    async with _at_work(dispatcher):
        await _passed(dispatcher)
        dispatcher._scheduler.pause()
        await waiting.put(3, waiting.now_ms() + 20)
        await eventually(lambda: _is_left(waiting, 0), what="the loop's own clock moves them")

    assert all(added >= due for added, due in await waiting.moved())


@pytest.mark.leaves("stream", "index")
async def test_several_dispatchers_move_each_message_once(store: Store, waiting: Waiting) -> None:
    """Three at once, no leader: 300 messages, 300 entries."""
    now_ms = waiting.now_ms()
    for number in range(30):
        await waiting.put(10, now_ms + number)
    dispatchers = [_made(store, tick_ms=10) for _ in range(3)]

    async with _at_work(*dispatchers):
        await eventually(lambda: sum(one.moved for one in dispatchers) == 300, what="all are moved")

    assert len(await waiting.moved()) == 300
    assert await waiting.left() == 0


@pytest.mark.leaves("stream", "index")
async def test_stopping_is_prompt_and_leaves_nothing_running(store: Store, waiting: Waiting) -> None:
    """Told to stop, it stops, in the middle of everything; messages that come afterwards stay where they are."""
    before = asyncio.all_tasks()
    dispatcher = _made(store, tick_ms=10)
    async with _at_work(dispatcher):
        await _passed(dispatcher)

    await eventually(lambda: asyncio.all_tasks() <= before, what="its tasks ended")

    passed_s = dispatcher.passes[0].completed_s
    await dispatcher.passes[0].alarm.ring()
    assert dispatcher.passes[0].completed_s == passed_s


# --- outages and errors -----------------------------------------------------------------------------------------------


async def test_a_pass_that_fails_by_an_outage_is_repeated(own: Own) -> None:
    """While Redis is gone it tries on by itself; what became due meanwhile is moved when Redis is back, without a tick."""
    dispatcher = _made(own.store, tick_ms=NO_TICK_MS)

    async with _at_work(dispatcher):
        await _passed(dispatcher)
        await schedule(own.store, [Draft("alpha", "text", b"hello", delay_ms=100)])
        await eventually(lambda: dispatcher.passes[0].alarm._at_s is not None, what="it sleeps")
        own.server.kill()
        await eventually(lambda: dispatcher.passes[0].watch.failures > 1, what="passes fail again and again")
        assert dispatcher.passes[0].outages.keys() <= {"connection", "timeout"}
        own.server.start()
        await eventually(lambda: dispatcher.moved == 1, what="it is moved")

    assert dispatcher.passes[0].watch.failures == 0
    ((added, due),) = await own.waiting.moved()
    assert added >= due


async def test_it_hears_of_arrivals_again_after_an_outage(own: Own) -> None:
    """The subscription is made anew by itself: an arrival after the outage is moved without a tick."""
    dispatcher = _made(own.store, tick_ms=NO_TICK_MS)

    async with _at_work(dispatcher):
        await eventually(lambda: _listens(own.waiting))
        own.server.kill()
        await eventually(lambda: dispatcher.passes[0].listening.failures > 0, what="it notices")
        own.server.start()
        await eventually(lambda: _listens(own.waiting), what="it listens again")
        await schedule(own.store, [Draft("alpha", "text", b"hello")])
        await eventually(lambda: dispatcher.moved == 1, what="it is moved")


async def test_a_programmers_error_ends_it(store: Store, waiting: Waiting) -> None:
    """What is no outage is not waited out: ``run`` ends with that error, from whatever rang."""
    dispatcher = _made(store, tick_ms=20)
    running = asyncio.create_task(dispatcher.run(asyncio.Event()))
    await _passed(dispatcher)

    await waiting.redis.set(store.partitions[0].keys.due("alpha"), "no ZSET")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await asyncio.wait_for(running, 5)
    assert not dispatcher._scheduler.running
    await waiting.redis.delete(store.partitions[0].keys.due("alpha"))


async def test_a_programmers_error_of_the_janitor_ends_it(
    store: Store, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where APScheduler runs it, and would only log it."""
    monkeypatch.setattr(scheduler, "JANITOR_S", 0.02)
    await waiting.redis.set(store.partitions[0].keys.dead, "no ZSET")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await asyncio.wait_for(_made(store).run(asyncio.Event()), 5)

    await waiting.redis.delete(store.partitions[0].keys.dead)


async def test_the_janitor_runs_and_survives_an_outage(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is past its retention goes by itself, before and after Redis was gone."""
    monkeypatch.setattr(scheduler, "JANITOR_S", 0.03)
    keys = own.store.partitions[0].keys

    async def finish() -> None:
        await own.waiting.redis.hset(keys.finished, "some-id", "{}")
        await own.waiting.redis.zadd(keys.finished_expiry, {"some-id": 1})

    async def is_clean() -> bool:
        return not await own.waiting.redis.exists(keys.finished)

    dispatcher = _made(own.store)
    await finish()

    async with _at_work(dispatcher):
        await eventually(is_clean, what="the janitor cleans")
        own.server.kill()
        await eventually(lambda: dispatcher._upkeep.failures > 0, what="the janitor meets the outage")
        own.server.start()
        await finish()
        await eventually(is_clean, what="the janitor cleans again")


# --- health -----------------------------------------------------------------------------------------------------------


async def test_health_turns_unready_in_an_outage_and_back(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a completed pass for too long it says so, with the reason and the count; then it is ready again."""
    monkeypatch.setattr(scheduler, "UNREADY_AFTER_S", 0.2)
    dispatcher = _made(own.store, tick_ms=20)

    async def is_ready() -> bool:
        return (await dispatcher.health())[0]

    async def is_not_ready() -> bool:
        return not await is_ready()

    async with _at_work(dispatcher):
        await _passed(dispatcher)
        ready, details = await dispatcher.health()
        assert (ready, details["reasons"], details["outages"]) == (True, [], {})
        own.server.kill()
        await eventually(is_not_ready, what="it turns unready")
        _, details = await dispatcher.health()
        assert "no pass completed for 0." in details["reasons"][0]
        assert "connection" in details["reasons"][0]
        assert details["outages"]["connection"] >= 1
        own.server.start()
        await eventually(is_ready, what="it turns ready again")


async def test_health_counts_what_was_moved(store: Store, waiting: Waiting) -> None:
    """People see how much was moved since the start."""
    await waiting.put(25, waiting.now_ms() - 1)
    dispatcher = _made(store)

    async with _at_work(dispatcher):
        await eventually(lambda: dispatcher.moved == 25)

    assert (await dispatcher.health())[1]["moved"] == 25
    await waiting.redis.delete(store.partitions[0].keys.stream("alpha"), store.partitions[0].keys.index)
