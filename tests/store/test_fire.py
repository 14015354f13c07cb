"""fire.lua, through ``firing.fire`` and ``firing.run_now``."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.errors import NotFound
from shared.record import decode_record
from shared.store import firing, messages, schedules
from shared.store.connect import Client
from shared.store.firing import RUNS_KEPT
from tests.store.conftest import Wakes
from tests.store.stage import HOUR_MS, Stage, contents, finished, retry

pytestmark = pytest.mark.leaves("schedule", "due:", "index", "stream:", "finished", "errors:")


async def fire(stage: Stage, schedule_id: str = "a") -> firing.Fired:
    return await firing.fire(stage.partition, await schedules.get(stage.store, schedule_id))


async def test_an_occurrence_becomes_a_message_due_at_its_time(stage: Stage) -> None:
    """With the template's content, the schedule's id and the occurrence; and the next one is planned."""
    await stage.schedule("a", expires_after_ms=77)
    at_ms = await stage.make_due("a")

    assert await fire(stage) == ("fired", 1, 0)

    now = await schedules.get(stage.store, "a", past=10)
    (member,) = await stage.client.zrange(stage.keys.due("alpha"), 0, -1)
    record = decode_record(member)
    assert (record.body, record.options.schedule, record.options.occurrence_ms) == (b"again", "a", at_ms)
    assert record.options.expires_ms == at_ms + 77
    assert (await messages.get(stage.store, record.id)).due_ms == at_ms
    assert (now.runs, now.last_id, now.last_occurrence_ms, now.next_ms) == (1, record.id, at_ms, now.definition.rule.after(at_ms))
    assert [(run.occurrence_ms, run.message_id) for run in now.past] == [(at_ms, record.id)]


async def test_of_many_dispatchers_one_makes_it(stage: Stage) -> None:
    """Twenty that saw the same: one message; nineteen are told that they were late, and change nothing."""
    await stage.schedule("a")
    await stage.make_due("a")
    seen = await schedules.get(stage.store, "a")

    found = await asyncio.gather(*(firing.fire(stage.partition, seen) for _ in range(20)))

    assert sorted(one.verdict for one in found) == ["fired"] + ["stale"] * 19
    assert len(await stage.waiting()) == 1
    assert (await schedules.get(stage.store, "a")).runs == 1


async def test_the_id_follows_from_the_schedule_and_the_occurrence(stage: Stage) -> None:
    """Another schedule, another occurrence and a schedule made anew under the same id give other ids."""
    ids = set()
    for schedule_id in ("a", "b"):
        await stage.schedule(schedule_id)
        ids |= {await stage.fire(schedule_id), await stage.fire(schedule_id)}
    seen = await schedules.get(stage.store, "a")
    message = firing._message(stage.partition, seen, 1_900_000_000_000)

    assert len(ids) == 4
    assert firing._message(stage.partition, seen, 1_900_000_000_000) == message
    assert firing._message(stage.partition, msgspec.structs.replace(seen, created_ms=1), 1_900_000_000_000).id != message.id


async def test_nothing_is_made_before_its_time(stage: Stage, redis: Client, prefix: str) -> None:
    """A dispatcher whose clock is ahead is told so, and nothing is written; one whose clock is right does not ask."""
    await stage.schedule("a", every_ms=60_000)
    before = await contents(redis, prefix)

    assert (await fire(stage)).verdict == "stale"
    stage.partition.clock._offset_us += 2 * 60_000 * 1000
    assert (await fire(stage)).verdict == "early"

    assert await contents(redis, prefix) == before


async def test_whoever_saw_it_before_a_change_makes_nothing(stage: Stage) -> None:
    """The new definition holds from its moment on."""
    await stage.schedule("a")
    await stage.make_due("a")
    seen = await schedules.get(stage.store, "a")
    await schedules.change(stage.store, seen, stage.wanted(status="paused"), "second")

    assert (await firing.fire(stage.partition, seen)).verdict == "stale"
    assert await stage.waiting() == {}


@pytest.mark.parametrize("state", ["scheduled", "ready", "running", "retrying"])
async def test_with_skip_it_is_left_out_while_the_last_one_is_not_over(stage: Stage, state: str) -> None:
    """Wherever the message is on its way; the next occurrence is planned all the same, and what is left out is counted."""
    await stage.schedule("a", overlap="skip")
    before = await stage.fire("a")
    if state != "scheduled":
        await stage.dispatch()
    if state in {"running", "retrying"}:
        (entry,) = await stage.read()
        if state == "retrying":
            await stage.settle(retry(entry, delay_ms=HOUR_MS))
    assert await stage.status(before) == state
    at_ms = await stage.make_due("a")

    assert (await fire(stage)).verdict == "skipped"

    now = await schedules.get(stage.store, "a")
    assert (now.runs, now.skipped, now.last_id, now.next_ms) == (1, 1, before, now.definition.rule.after(at_ms))


async def test_with_skip_it_is_made_when_the_last_one_is_over(stage: Stage) -> None:
    """Delivered, dead or cancelled."""
    await stage.schedule("a", overlap="skip")
    await stage.fire("a")
    await stage.dispatch()
    (entry,) = await stage.read()
    await stage.settle(finished(entry))
    await stage.make_due("a")
    assert (await fire(stage)).verdict == "fired"
    await messages.cancel(stage.store, (await schedules.get(stage.store, "a")).last_id)
    await stage.make_due("a")

    assert (await fire(stage)).verdict == "fired"
    assert (await schedules.get(stage.store, "a")).runs == 3


async def test_its_last_run_ends_it(stage: Stage) -> None:
    await stage.schedule("a", max_runs=2)
    await stage.fire("a")
    assert (await schedules.get(stage.store, "a")).status == "active"
    await stage.fire("a")

    now = await schedules.get(stage.store, "a")
    assert (now.status, now.next_ms, now.runs) == ("ended", None, 2)
    assert await stage.client.zcard(stage.keys.schedules_next) == 0


async def test_all_that_was_missed_is_made_up_and_the_runs_kept_are_bounded(stage: Stage) -> None:
    """More than one turn makes at once; each occurrence has one message."""
    await stage.schedule("a", every_ms=60_000, catch_up="all")
    first_ms = (await stage.now_ms() - 4 * HOUR_MS) // 60_000 * 60_000 + 1
    await stage.client.zadd(stage.keys.schedules_next, {"a": first_ms})
    await stage.client.hset(stage.keys.schedule("a"), "next", first_ms)

    turns = 0
    while (await fire(stage)).made:
        turns += 1

    now = await schedules.get(stage.store, "a", past=1000)
    made = [int(score) for score in (await stage.waiting()).values()]
    assert turns >= 3
    assert made == list(range(first_ms, made[-1] + 1, 60_000))
    assert now.next_ms == made[-1] + 60_000 > await stage.now_ms()
    assert (now.runs, len(now.past)) == (len(made), RUNS_KEPT)


async def test_a_run_beside_the_rule_leaves_the_rule_alone(stage: Stage) -> None:
    """It is made now, listed, and not counted; a paused schedule can be run so as well."""
    seen = await stage.schedule("a", max_runs=1)

    run, _ = await firing.run_now(stage.store, "a")

    now = await schedules.get(stage.store, "a", past=10)
    assert await stage.status(run.message_id) == "scheduled"
    assert (now.next_ms, now.runs, now.status, now.last_id) == (seen.next_ms, 0, "active", run.message_id)
    assert now.past == (run,)
    await schedules.change(stage.store, now, stage.wanted(status="paused"), "second")
    await firing.run_now(stage.store, "a")
    assert len(await stage.waiting()) == 2
    with pytest.raises(NotFound):
        await firing.run_now(stage.store, "nobody")


async def test_a_run_beside_the_rule_by_a_clock_that_is_ahead_is_made_now(stage: Stage) -> None:
    """Redis's clock counts."""
    await stage.schedule("a")
    stage.partition.clock._offset_us += 60_000_000

    run, _ = await firing.run_now(stage.store, "a")

    assert run.occurrence_ms <= await stage.now_ms()


async def test_dispatchers_are_woken_for_the_message_and_the_next_occurrence(stage: Stage, wakes: Wakes) -> None:
    """Both are told to all of them, since one that was not first would not know."""
    await stage.schedule("a")
    at_ms = await stage.make_due("a")
    await wakes.heard()

    await fire(stage)

    assert await wakes.heard() == [f"alpha {at_ms}"]
