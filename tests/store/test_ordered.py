"""Ordered messages: each keeps the place of its flow key until it is over, and nothing of the key overtakes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shared.settings import LimitSettings
from shared.store import dead_letters, flow, messages
from shared.store.flow import Limit
from tests.store.conftest import Wakes
from tests.store.flowing import Flowing, ids_of
from tests.store.stage import HOUR_MS, Stage, dead, id_of, lease_of, retry
from tests.support.waiting import eventually

pytestmark = pytest.mark.leaves("due:", "index", "stream:", "finished", "flow:", "errors:", "dead")

ONE, TWO = LimitSettings(concurrency=1), LimitSettings(concurrency=2)


async def fail(flowing: Flowing, delay_ms: int = 0) -> str:
    """The next delivery fails; its message waits for another attempt. Its id."""
    (entry,) = await flowing.read(1)
    assert await flowing.stage.settle(retry(entry, delay_ms=delay_ms)) == [True]
    return id_of(entry)


@pytest.mark.parametrize("counts", [True, False])
async def test_nothing_starts_before_what_fails_is_over(stage: Stage, *, counts: bool) -> None:
    """Neither while it waits for its next attempt nor when that is due; also where the retry costs no attempt."""
    flowing = Flowing(stage, key=ONE)
    first, second, third = await flowing.add("a", 3, ordered=True)
    await flowing.admit()
    for number in (1, 2):
        (entry,) = await flowing.read()
        ended = retry(entry, attempts=number) if counts else retry(entry, attempts=0, deferrals=number)
        assert await stage.settle(ended) == [True]
        assert (await flowing.held(), await flowing.kept()) == (set(), {first})
        assert (await flowing.admit()).moved == 1
        assert await flowing.ready() == [first]
        assert (await flowing.held(), await flowing.kept()) == ({first}, set())
    await flowing.finish(*await flowing.read())

    order = []
    while (await flowing.admit()).moved:
        entries = await flowing.read()
        order += ids_of(entries)
        await flowing.finish(*entries)
    assert order == [second, third]
    assert await flowing.sets() == {}


async def test_with_two_places_two_are_under_way_at_once(stage: Stage) -> None:
    """One that waits for its next attempt is one of them."""
    flowing = Flowing(stage, key=TWO)
    ids = await flowing.add("a", 4, ordered=True)
    await flowing.admit()
    failed = await fail(flowing, HOUR_MS)

    assert (await flowing.admit()).moved == 0
    assert await flowing.held() | await flowing.kept() == set(ids[:2])
    await flowing.finish(*await flowing.read())
    assert (await flowing.admit()).moved == 1
    assert (await flowing.held(), await flowing.kept()) == ({ids[2]}, {failed})


async def test_others_of_the_key_keep_their_ways(stage: Stage) -> None:
    """One that is not ordered gives its place back as ever, to whoever is first, and does not overtake one that is."""
    flowing = Flowing(stage, key=ONE)
    (loose,) = await flowing.add("a")
    await flowing.admit()
    (ordered,) = await flowing.add("a", ordered=True)
    await flowing.admit()
    assert await fail(flowing) == loose
    assert (await flowing.admit()).moved == 1
    assert await fail(flowing) == ordered
    await flowing.admit()

    assert await flowing.held() == {ordered}
    assert await stage.status(loose) == "retrying"


@pytest.mark.parametrize("end", ["dead", "cancelled", "cancelled in line", "deleted"])
async def test_every_end_gives_the_place_back(stage: Stage, end: str) -> None:
    """And wakes who waits for it. A message that a stranger deleted while it waited is found by ``tidy``."""
    flowing = Flowing(stage, key=ONE)
    first, second = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    await fail(flowing, 0 if end in {"dead", "cancelled in line"} else HOUR_MS)
    if end == "dead":
        await flowing.admit()
        await stage.settle(*map(dead, await flowing.read()))
    elif end == "deleted":
        await stage.client.delete(stage.keys.due("alpha:limited"))
        assert await flow.tidy(stage.partition, "alpha") == 1
    else:
        if end == "cancelled in line":
            await flow.pause(stage.store, "alpha", "a", paused=True)
            await flowing.admit()
            assert (await messages.get(stage.store, first)).parked
            await flow.pause(stage.store, "alpha", "a", paused=False)
        await messages.cancel(stage.store, first)

    assert await flowing.held() == await flowing.kept() == set()
    assert (await flowing.admit()).moved == 1
    assert await flowing.held() == {second}


async def test_tidying_leaves_what_waits_for_its_next_attempt(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its due set or in line, wherever it was moved to; also where there are more than one look finds."""
    monkeypatch.setattr(flow, "TIDY_COUNT", 2)
    flowing = Flowing(stage, key=LimitSettings(concurrency=5))
    ids = await flowing.add("a", 5, ordered=True)
    await flowing.admit()
    for _ in ids:
        await fail(flowing, HOUR_MS)
    await messages.change(stage.store, ids[1], due_ms=await stage.now_ms() + 2 * HOUR_MS)
    await messages.deliver_now(stage.store, ids[2])
    await flow.pause(stage.store, "alpha", "a", paused=True)
    await flowing.admit()
    assert (await messages.get(stage.store, ids[2])).parked

    assert await flow.tidy(stage.partition, "alpha") == 0
    assert await flowing.kept() == set(ids)


async def test_tidying_knows_no_stranger_s_places(stage: Stage) -> None:
    """What is no id is nobody's: it is taken away, and hurts nobody."""
    flowing = Flowing(stage, key=ONE)
    await stage.client.zadd(stage.keys.flow("alpha", "kept"), {"a x": 0, "a ": 0, "b " + "!" * 30: 0})
    assert await flow.tidy(stage.partition, "alpha") == 3
    assert await flowing.kept() == set()


async def test_a_message_that_is_claimed_or_handed_back_keeps_its_place(stage: Stage) -> None:
    """Also in its second attempt; and a second settlement changes nothing."""
    flowing = Flowing(stage, key=ONE)
    first, _ = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    await fail(flowing)
    await flowing.admit()
    (entry,) = await flowing.read()
    assert await stage.worker().hand_back([lease_of(entry)]) == [True]
    (again,) = await flowing.read()
    await stage.let_idle(again, 60_000, 1)
    _, (claimed,) = await stage.worker("w2").claim(again.stream, "-", 1_000, 60_000, 10, 1)

    assert await stage.settle(retry(again)) == [False]
    assert (await flowing.held(), await flowing.kept()) == ({first}, set())
    assert await stage.settle(retry(claimed), worker="w2") == [True]
    assert (await flowing.held(), await flowing.kept()) == (set(), {first})
    assert await flow.tidy(stage.partition, "alpha") == 0


async def test_a_retry_that_has_to_wait_for_the_rate_is_the_first_of_its_key(stage: Stage) -> None:
    """It counts against the rate like any attempt, waits in line before all others, and its own place does not hold it up."""
    flowing = Flowing(stage, key=LimitSettings(rate=1, period_ms=60_000, concurrency=1))
    first, second = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    await fail(flowing)
    waits = await flowing.admit()
    assert waits.moved == 0
    assert waits.next_due_ms is not None, "its place is its own: it waits for the rate alone"
    assert (await messages.get(stage.store, first)).parked

    flowing = Flowing(stage, key=LimitSettings(rate=1, period_ms=30, concurrency=1))

    async def moved() -> bool:
        return (await flowing.admit()).moved == 1

    await eventually(moved, what="the retry goes")
    assert (await flowing.held(), await flowing.kept()) == ({first}, set())
    assert await stage.status(second) == "scheduled"


async def test_a_paused_key_holds_a_retry_and_lets_it_go_first(stage: Stage) -> None:
    """Whatever came into the line before it."""
    flowing = Flowing(stage, key=ONE)
    first, _ = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    await flow.pause(stage.store, "alpha", "a", paused=True)
    await fail(flowing)
    assert (await flowing.admit()).moved == 0

    await flow.pause(stage.store, "alpha", "a", paused=False)
    assert (await flowing.admit()).moved == 1
    assert await flowing.held() == {first}


async def test_a_full_stream_does_not_let_others_of_the_key_go_first(stage: Stage) -> None:
    """A retry that has no room waits in line, before all others."""
    flowing = Flowing(stage, key=TWO)
    first, second, third = await flowing.add("a", 3, ordered=True)
    await flowing.admit()
    await fail(flowing)
    full = await flowing.admit(longest=1)
    assert (full.moved, full.stream_full) == (0, True)
    await flowing.finish(*await flowing.read())

    async def moved() -> bool:
        return (await flowing.admit(longest=1)).moved == 1

    await eventually(moved, what="there is room")
    assert await flowing.ready() == [first]
    assert [await stage.status(one) for one in (second, third)] == ["delivered", "scheduled"]


async def test_places_of_the_topic_are_not_kept(stage: Stage) -> None:
    """Else messages that wait for their next attempts could stop the whole topic; and it takes one again like any other."""
    flowing = Flowing(stage, topic=ONE, key=ONE)
    (first,) = await flowing.add("a", ordered=True)
    await flowing.admit()
    (other,) = await flowing.add("b", ordered=True)
    assert (await flowing.admit()).moved == 0
    assert await fail(flowing, HOUR_MS) == first
    assert (await flowing.admit()).moved == 1
    assert (await flowing.held(), await flowing.kept()) == ({other}, {first})

    await messages.deliver_now(stage.store, first)
    assert (await flowing.admit()).moved == 0
    await flowing.finish(*await flowing.read())
    assert (await flowing.admit()).moved == 1
    assert (await flowing.held(), await flowing.kept()) == ({first}, set())


async def test_a_place_of_the_topic_that_comes_back_wakes_who_waits_for_it(stage: Stage, wakes: Wakes) -> None:
    """Though that of the key is kept: the dispatchers hear of it at once."""
    flowing = Flowing(stage, topic=ONE)
    await flowing.add("a", ordered=True)
    await flowing.admit()
    await flowing.add("b")
    await flowing.admit()
    await wakes.heard()

    await fail(flowing, HOUR_MS)

    assert [one.split(" ")[0] for one in await wakes.heard()] == ["alpha:all"]


async def taken_away(stage: Stage) -> None:
    await flow.set_limit(stage.store, "alpha", "a", None)


async def lowered(stage: Stage) -> None:
    await flow.set_limit(stage.store, "alpha", "a", Limit(0, 1_000, 1))


@pytest.mark.parametrize("change", [taken_away, lowered])
async def test_a_limit_that_changes_meanwhile_leaves_nothing_behind(
    stage: Stage, change: Callable[[Stage], Awaitable[None]]
) -> None:
    """Whoever keeps a place goes on with it; without a limit there is none, and all go."""
    flowing = Flowing(stage)
    await flow.set_limit(stage.store, "alpha", "a", Limit(0, 1_000, 2))
    ids = await flowing.add("a", 4, ordered=True)
    await flowing.admit()
    for _ in range(2):
        await fail(flowing)
    await change(stage)
    order: list[str] = []
    while (await flowing.admit()).moved:
        entries = await flowing.read()
        order += ids_of(entries)
        await flowing.finish(*entries)

    assert sorted(order) == sorted(ids)
    assert order[2:] == ids[2:] or change is taken_away
    assert await flowing.sets() == {}


async def test_a_limit_that_is_set_meanwhile_does_not_hold_it_up(stage: Stage) -> None:
    """One that had no place, since there was no limit, takes one when its next attempt is due."""
    flowing = Flowing(stage)
    ids = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    await fail(flowing)
    await lowered(stage)
    assert await flowing.kept() == set()

    assert (await flowing.admit()).moved == 1
    await flowing.finish(*await flowing.read(1))
    await flowing.finish(*await flowing.read(1))
    await flowing.admit()
    assert [await stage.status(one) for one in ids] == ["delivered"] * 2
    await taken_away(stage)
    assert await flowing.sets() == {}


async def test_a_replayed_dead_letter_begins_anew(stage: Stage) -> None:
    """It gave its place back when it died, and stands in line by its new time."""
    flowing = Flowing(stage, key=ONE)
    first, second, third = await flowing.add("a", 3, ordered=True)
    await flowing.admit()
    await stage.settle(*map(dead, await flowing.read()))
    await flowing.admit()
    await dead_letters.replay(stage.store, first)
    await flowing.admit()
    order = []
    while entries := await flowing.read():
        order += ids_of(entries)
        await flowing.finish(*entries)
        await flowing.admit()

    assert order == [second, third, first]


async def test_a_key_shows_what_waits_for_its_next_attempt_as_held(stage: Stage) -> None:
    """It is not over; also where nothing else of the key is there."""
    flowing = Flowing(stage, key=ONE)
    await flowing.add("a", ordered=True)
    await flowing.admit()
    await fail(flowing, HOUR_MS)

    (found,) = await flow.flow_keys(stage.store, "alpha", "", 10)

    assert (found.flow_key, found.held, found.waiting) == ("a", 1, 0)


async def test_an_ordered_message_is_known_whatever_else_its_record_asks_for(stage: Stage) -> None:
    """With a priority before its flow key, and with a key that looks like other options."""
    flowing = Flowing(stage, key=ONE)
    for key in ("a/'{}[%d]:,~", "ordered:true"):
        for priority in ("high", None):
            await flowing.add(key, priority=priority, ordered=True)
            await flowing.admit()
            (message_id,) = await flowing.add(key, priority=priority)
            await flowing.admit()
            failed = await fail(flowing, HOUR_MS)
            assert await flowing.kept() == {failed}
            await messages.cancel(stage.store, failed)
            await flowing.admit()
            assert await fail(flowing, HOUR_MS) == message_id
            assert await flowing.kept() == set()
