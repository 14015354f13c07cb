"""The dispatcher and recurring schedules: made in time, by one of many, without holding up what else there is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from dispatcher.forwarder import Forwarder
from dispatcher.recurring import FULL_WAIT_S, MOST_AT_ONCE
from shared.errors import Outage
from shared.record import Record, decode_record
from shared.recurrence import Definition, Rule
from shared.store import firing, schedules
from shared.store.partition import Store
from shared.store.schedules import Wanted
from tests.dispatcher.conftest import NAMED
from tests.dispatcher.waiting_messages import Waiting

pytestmark = pytest.mark.leaves("schedule", "stream", "index", "due")


def _forwarder(store: Store) -> Forwarder:
    return Forwarder(store.partitions, NAMED, store.settings.dispatcher)


async def _schedule(store: Store, schedule_id: str, every_ms: int = 60_000, **more: Any) -> None:
    rule = Rule(every_ms=every_ms, anchor_ms=store.partitions[0].clock.now_ms())
    definition = Definition(rule=rule, topic="alpha", **more)
    wanted = Wanted(definition=definition, template=Record("", 0, "text", b"again"), status="active")
    await schedules.create(store, schedule_id, wanted, f"of {schedule_id}")


async def _make_due(store: Store, waiting: Waiting, schedule_id: str, ago_ms: int = 100) -> int:
    keys, at_ms = store.partitions[0].keys, waiting.now_ms() - ago_ms
    await waiting.redis.zadd(keys.schedules_next, {schedule_id: at_ms})
    await waiting.redis.hset(keys.schedule(schedule_id), "next", str(at_ms))
    return at_ms


async def test_a_pass_makes_what_is_due_and_moves_it(store: Store, waiting: Waiting) -> None:
    """One pass, from the schedule to the stream; the next one comes with the next occurrence."""
    await _schedule(store, "a")
    at_ms = await _make_due(store, waiting, "a")
    forwarder = _forwarder(store)

    done = await forwarder.run_once()

    assert [due for _, due in await waiting.moved()] == [at_ms]
    assert (done.moved, forwarder.recurring.made) == (1, 1)
    next_ms = (await schedules.get(store, "a")).next_ms
    assert next_ms is not None
    assert done.next_s == pytest.approx(store.partitions[0].clock.monotonic_s(next_ms), abs=0.01)


async def test_each_occurrence_is_in_the_stream_at_its_time(store: Store, waiting: Waiting) -> None:
    """A quick one, pass after pass, by two dispatchers at once: every occurrence once, none early."""
    await _schedule(store, "quick", every_ms=100, max_runs=10)
    forwarders = [_forwarder(store), _forwarder(store)]

    async def dispatch(forwarder: Forwarder) -> None:
        while (await schedules.get(store, "quick")).status == "active" or await waiting.left():
            forwarder.agenda.all_now()
            await forwarder.run_once()

    await asyncio.gather(*(dispatch(forwarder) for forwarder in forwarders))

    moved = await waiting.moved()
    dues = [due for _, due in moved]
    assert dues == list(range(dues[0], dues[0] + 1000, 100))
    assert [added for added, due in moved if added < due] == []
    assert sum(forwarder.recurring.made for forwarder in forwarders) == 10


async def test_a_wake_up_of_a_schedule_sets_the_alarm(store: Store) -> None:
    """The agenda knows the place that wake-ups of schedules name."""
    forwarder = _forwarder(store)
    await forwarder.run_once()

    assert forwarder.agenda.sooner((0, "*schedules"), time.monotonic() + 60)
    assert forwarder.agenda.next_s == pytest.approx(time.monotonic() + 60, abs=1)


async def test_a_herd_of_schedules_lets_the_topics_have_their_turns(store: Store, waiting: Waiting) -> None:
    """More than one turn makes at once: a message of a topic is moved before the last of them is made."""
    for number in range(3 * MOST_AT_ONCE):
        await _schedule(store, f"s{number}")
        await _make_due(store, waiting, f"s{number}")
    await waiting.put(1, waiting.now_ms() - 1, "beta")
    forwarder = _forwarder(store)

    await forwarder.run_once()

    entries = await waiting.redis.xrange(store.partitions[0].keys.stream("alpha"))
    made = [decode_record(fields[b"message"]).options.schedule for _, fields in entries]
    ((beta_added, _),) = await waiting.moved("beta")
    assert sorted(map(str, made)) == sorted(f"s{number}" for number in range(3 * MOST_AT_ONCE))
    assert beta_added <= (await waiting.moved())[-1][0]
    assert forwarder.recurring.made == 3 * MOST_AT_ONCE


async def test_one_that_cannot_be_read_holds_nobody_up(store: Store, waiting: Waiting) -> None:
    """It is left alone for a while; the others are made, and so is it when somebody has put it right."""
    for schedule_id in ("bad", "good"):
        await _schedule(store, schedule_id)
        await _make_due(store, waiting, schedule_id, ago_ms=200 if schedule_id == "bad" else 100)
    key = store.partitions[0].keys.schedule("bad")
    right = await waiting.redis.hget(key, "definition")
    await waiting.redis.hset(key, "definition", "{")
    forwarder = _forwarder(store)

    done = await forwarder.run_once()

    assert (done.moved, forwarder.recurring.made) == (1, 1)
    assert done.next_s is not None
    assert done.next_s > time.monotonic() + 10, "it is not looked at again and again"
    await waiting.redis.hset(key, "definition", right)
    forwarder.recurring._ignored.clear()
    forwarder.agenda.all_now()
    assert (await forwarder.run_once()).moved == 1


async def test_one_whose_time_zone_is_not_known_here_holds_nobody_up(store: Store, waiting: Waiting) -> None:
    """Another host's zones may be newer: the dispatcher goes on, and the schedule is left to those who know."""
    for schedule_id in ("bad", "good"):
        await _schedule(store, schedule_id)
        await _make_due(store, waiting, schedule_id)
    unknown = b'{"rule":{"cron":"* * * * *","timezone":"Mars/Olympus"},"topic":"alpha"}'
    await waiting.redis.hset(store.partitions[0].keys.schedule("bad"), "definition", unknown)
    forwarder = _forwarder(store)

    done = await forwarder.run_once()

    assert (done.moved, forwarder.recurring.made) == (1, 1)


async def test_a_redis_that_takes_nothing_new_still_moves_what_is_due(
    store: Store, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making messages is refused then; all else drains. It is tried again soon, and nothing is lost."""
    await _schedule(store, "a")
    await _make_due(store, waiting, "a")
    await waiting.put(3, waiting.now_ms() - 1, "beta")
    forwarder = _forwarder(store)

    async def refused(*_ignored: object) -> firing.Fired:
        raise Outage("oom", "command not allowed when used memory > 'maxmemory'")

    with monkeypatch.context() as full:
        full.setattr(firing, "fire", refused)
        done = await forwarder.run_once()

    assert (done.moved, await waiting.left("beta")) == (3, 0)
    assert done.next_s == pytest.approx(time.monotonic() + FULL_WAIT_S, abs=0.5)
    forwarder.agenda.all_now()
    assert (await forwarder.run_once()).moved == 1


async def test_another_outage_is_one(store: Store, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass fails as any pass does, and looks again at the next."""
    await _schedule(store, "a")
    await _make_due(store, waiting, "a")
    forwarder = _forwarder(store)

    async def refused(*_ignored: object) -> firing.Fired:
        raise Outage("connection", "gone")

    with monkeypatch.context() as gone:
        gone.setattr(firing, "fire", refused)
        with pytest.raises(Outage):
            await forwarder.run_once()

    assert (await forwarder.run_once()).moved == 1
