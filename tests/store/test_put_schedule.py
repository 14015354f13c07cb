"""put_schedule.lua, through ``schedules.create`` and ``schedules.change``."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.errors import AlreadyThere, NotFound
from shared.recurrence import Rule
from shared.settings import Settings
from shared.store import firing, schedules
from shared.store.connect import Client
from tests.store.conftest import Wakes
from tests.store.stage import HOUR_MS, Stage, contents, open_stage

pytestmark = pytest.mark.leaves("schedule", "due:")
DAY_MS = 86_400_000


async def test_a_schedule_is_kept_as_it_was_made(stage: Stage) -> None:
    """With its next occurrence, and nothing done yet."""
    before_ms = await stage.now_ms()

    made = await stage.schedule("hourly", max_runs=3, overlap="skip")

    assert made == msgspec.structs.replace(await schedules.get(stage.store, "hourly"), durability=made.durability)
    assert (made.id, made.status, made.runs, made.definition.max_runs) == ("hourly", "active", 0, 3)
    assert made.next_ms == made.definition.rule.after(made.created_ms)
    assert before_ms - 1 <= made.created_ms <= await stage.now_ms()
    assert await stage.client.zrange(stage.keys.schedules_next, 0, -1, withscores=True) == [(b"hourly", made.next_ms)]


async def test_there_is_one_of_an_id(stage: Stage, redis: Client, prefix: str) -> None:
    """Of many who make it at once one succeeds; the others are told, and it is as that one made it."""
    made = await asyncio.gather(
        *(schedules.create(stage.store, "a", stage.wanted(every_ms=HOUR_MS + n), f"r{n}") for n in range(20)),
        return_exceptions=True,
    )

    (winner,) = [one for one in made if not isinstance(one, BaseException)]
    assert sum(isinstance(one, AlreadyThere) for one in made) == 19
    assert (await schedules.get(stage.store, "a")).revision == winner.revision
    before = await contents(redis, prefix)
    with pytest.raises(AlreadyThere):
        await stage.schedule("a")
    assert await contents(redis, prefix) == before


async def test_a_repeat_is_no_second_one(stage: Stage) -> None:
    """The same revision again, after a lost answer, finds what it made."""
    first = await stage.schedule("a")

    assert await stage.schedule("a") == msgspec.structs.replace(first, deduplicated=True)


async def test_a_change_keeps_what_it_has_done(stage: Stage) -> None:
    """Counters, past runs and the time of its creation stay; its definition and revision are others."""
    await stage.schedule("a")
    made = await stage.fire("a")
    seen = await schedules.get(stage.store, "a", past=10)

    changed = await schedules.change(stage.store, seen, stage.wanted(every_ms=2 * HOUR_MS), "second")

    assert changed is not None
    now = await schedules.get(stage.store, "a", past=10)
    assert (now.revision, now.definition.rule.every_ms, now.runs, now.last_id) == ("second", 2 * HOUR_MS, 1, made)
    assert (now.created_ms, now.past) == (seen.created_ms, seen.past)
    assert now.next_ms == now.definition.rule.after(now.updated_ms)


async def test_whoever_saw_an_older_one_changes_nothing(stage: Stage, redis: Client, prefix: str) -> None:
    """Of two who saw the same, the second is told."""
    seen = await stage.schedule("a")
    assert await schedules.change(stage.store, seen, stage.wanted(max_runs=1), "second") is not None
    before = await contents(redis, prefix)

    assert await schedules.change(stage.store, seen, stage.wanted(max_runs=2), "third") is None
    assert await contents(redis, prefix) == before


async def test_what_is_not_there_cannot_be_changed(stage: Stage) -> None:
    seen = await stage.schedule("a")
    await schedules.delete(stage.store, "a")

    with pytest.raises(NotFound, match="no schedule 'a'"):
        await schedules.change(stage.store, seen, stage.wanted(), "second")


async def test_a_change_beside_the_rule_loses_no_occurrence(stage: Stage) -> None:
    """One that is due and not made yet is made all the same, with the new message, and the next is the one after it."""
    await stage.schedule("a")
    at_ms = await stage.make_due("a")
    seen = await schedules.get(stage.store, "a")

    await schedules.change(stage.store, seen, stage.wanted(catch_up="all", max_runs=7), "second")

    assert (await schedules.get(stage.store, "a")).next_ms == at_ms


async def test_a_change_that_saw_it_before_it_fired_does_not_fire_it_again(stage: Stage) -> None:
    """The next occurrence is what the firing made of it, not what the change saw."""
    seen = await stage.schedule("a")
    await stage.fire("a")
    after = (await schedules.get(stage.store, "a")).next_ms

    assert await schedules.change(stage.store, seen, stage.wanted(max_runs=7), "second") is not None

    assert (await schedules.get(stage.store, "a")).next_ms == after


async def test_an_occurrence_that_was_made_is_not_planned_again(stage: Stage) -> None:
    """A process whose clock is a little behind would: it is told to look again."""
    await stage.schedule("a")
    await stage.fire("a")
    seen = await schedules.get(stage.store, "a")
    rule = Rule(every_ms=HOUR_MS, anchor_ms=seen.last_occurrence_ms - HOUR_MS)
    definition = msgspec.structs.replace(seen.definition, rule=rule)
    behind = schedules.Wanted(definition=definition, template=seen.template, status="active")

    stage.partition.clock._offset_us -= (await stage.now_ms() - seen.last_occurrence_ms + 10) * 1000
    assert await schedules.change(stage.store, seen, behind, "second") is None
    await stage.partition.synchronise()
    assert await schedules.change(stage.store, seen, behind, "second") is not None


async def test_a_paused_one_is_not_planned_and_goes_on_from_now(stage: Stage) -> None:
    """What would have occurred meanwhile is not made up: it was not missed."""
    seen = await stage.schedule("a")

    paused = await schedules.change(stage.store, seen, stage.wanted(status="paused"), "second")
    assert paused is not None
    assert (paused.status, paused.next_ms) == ("paused", None)
    assert await stage.client.zcard(stage.keys.schedules_next) == 0
    resumed = await schedules.change(stage.store, paused, stage.wanted(), "third")
    assert resumed is not None
    assert (resumed.status, resumed.next_ms) == ("active", resumed.definition.rule.after(resumed.updated_ms))


async def test_one_that_has_made_all_its_runs_ends_and_goes_on_with_more(stage: Stage) -> None:
    """``max_runs`` counts from the beginning, whatever is changed."""
    await stage.schedule("a", max_runs=1)
    await stage.fire("a")
    ended = await schedules.get(stage.store, "a")
    assert (ended.status, ended.next_ms) == ("ended", None)

    same = await schedules.change(stage.store, ended, stage.wanted(max_runs=1, catch_up="all"), "second")
    assert same is not None
    assert same.status == "ended"
    more = await schedules.change(stage.store, same, stage.wanted(max_runs=2), "third")
    assert more is not None
    assert (more.status, more.next_ms is None) == ("active", False)


async def test_a_wake_up_is_published_for_the_earliest_only(stage: Stage, wakes: Wakes) -> None:
    """A later one is nobody's business yet. The periods are so long that their times are in this order whenever it runs."""
    first = await stage.schedule("a", every_ms=40_000 * DAY_MS)
    assert await wakes.heard() == [f"*schedules {first.next_ms}"]
    await stage.schedule("b", every_ms=50_000 * DAY_MS)
    assert await wakes.heard() == []
    sooner = await stage.schedule("c", every_ms=30_000 * DAY_MS)
    assert await wakes.heard() == [f"*schedules {sooner.next_ms}"]


async def test_with_more_partitions_it_is_found_where_it_was_put(stage: Stage, settings: Settings) -> None:
    """Forty made with one partition, read, changed, fired and deleted with three; and none is made a second time."""
    for number in range(40):
        await stage.schedule(f"s{number}")
    async with open_stage(msgspec.structs.replace(settings, partitions=3)) as three:
        for number in range(40):
            seen = await schedules.get(three.store, f"s{number}")
            with pytest.raises(AlreadyThere):
                await schedules.create(three.store, seen.id, three.wanted(), "again")
            assert await schedules.change(three.store, seen, three.wanted(max_runs=9), f"second of {number}") is not None
            await firing.run_now(three.store, seen.id)
        page = await schedules.list_schedules(three.store, 100, None)
        assert sorted(one.id for one in page.schedules) == sorted(f"s{number}" for number in range(40))
        for number in range(40):
            await schedules.delete(three.store, f"s{number}")
        assert (await schedules.list_schedules(three.store, 100, None)).schedules == []
