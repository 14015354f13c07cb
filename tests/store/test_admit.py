"""admit.lua: what is let through of each flow key and topic, what waits in line for it, and that nothing is lost on the way."""

from __future__ import annotations

import asyncio
from bisect import bisect_left

import msgspec
import pytest

from shared.record import Options, RetryOptions
from shared.settings import LimitSettings
from shared.store import flow, messages
from shared.store.flow import Limit
from tests.store.flowing import Flowing, ids_of
from tests.store.stage import HOUR_MS, Stage, dead, id_of, lease_of, retry
from tests.support.waiting import eventually

pytestmark = pytest.mark.leaves("due:", "index", "stream:", "finished", "flow:", "errors:", "dead", "labels")

TWO = LimitSettings(concurrency=2)


async def test_without_limits_all_that_is_due_goes_at_once(stage: Stage) -> None:
    """In the order of the due times, and entries look like any other; what is not due stays."""
    flowing = Flowing(stage)
    ids = [*await flowing.add("a", 3), *await flowing.add("b", 2)]
    (far,) = await stage.add(await stage.now_ms() + HOUR_MS)

    moved = await flowing.admit()

    assert (moved.moved, moved.next_due_ms) == (5, None)
    assert sorted(await flowing.ready()) == sorted(ids)
    assert [entry.flow for entry in await flowing.read()] == [None] * 5
    assert await flowing.sets() == {}
    assert await stage.status(far) == "scheduled"


async def test_no_more_of_a_key_run_at_once_than_its_limit(stage: Stage) -> None:
    """The others wait without an attempt and without a worker, in the order of their due times; other keys go on."""
    flowing = Flowing(stage, key=TWO)
    first = await flowing.add("a", 5)
    other = await flowing.add("b", 1)

    await flowing.admit()

    assert sorted(await flowing.ready()) == sorted([*first[:2], *other])
    assert await flowing.held() == {*first[:2], *other}
    waiting = await messages.get(stage.store, first[2])
    assert (waiting.status, waiting.attempts, waiting.parked) == ("scheduled", 0, True)
    assert (await flowing.admit()).next_due_ms is None, "there is nothing to do before one of them is over"
    entries = {id_of(entry): entry for entry in await flowing.read()}
    assert await flowing.finish(entries[first[0]]) == [True]

    assert (await flowing.admit()).moved == 1
    assert (await flowing.ready())[-1] == first[2]
    assert await flowing.held() == {first[1], first[2], *other}


@pytest.mark.parametrize("end", ["finished", "dead", "retry", "cancelled"])
async def test_every_end_of_a_delivery_gives_the_place_back(stage: Stage, end: str) -> None:
    """Once: a repeat, or a settlement that is refused, gives back nothing."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    first, second, third = await flowing.add("a", 3)
    await flowing.admit()
    if end == "cancelled":
        await messages.cancel(stage.store, first)
    else:
        (entry,) = await flowing.read()
        assert entry.flow == "a"
        settlement = {"finished": None, "dead": dead(entry), "retry": retry(entry, delay_ms=HOUR_MS)}[end]
        for expected in (True, False):
            done = await (flowing.finish(entry) if settlement is None else stage.settle(settlement))
            assert done == [expected]

    assert await flowing.held() == set()
    assert [(await flowing.admit()).moved for _ in range(2)] == [1, 0]
    assert await flowing.held() == {second}
    assert await stage.status(third) == "scheduled"


async def test_a_message_that_is_claimed_or_handed_back_keeps_its_place(stage: Stage) -> None:
    """It is still the same one that was let through."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    first, _ = await flowing.add("a", 2)
    await flowing.admit()
    (entry,) = await flowing.read()

    assert await stage.worker().hand_back([lease_of(entry)]) == [True]
    (again,) = await flowing.read()
    assert (id_of(again), again.flow) == (first, "a")
    await stage.let_idle(again, 60_000, 1)
    _, (claimed,) = await stage.worker("w2").claim(again.stream, "-", 1_000, 60_000, 10, 1)
    assert (id_of(claimed), claimed.flow) == (first, "a")

    assert (await flowing.admit()).moved == 0
    assert await flowing.held() == {first}
    assert await flowing.finish(again) == [False], "its lease is another's"
    assert await flowing.held() == {first}
    assert await flowing.finish(claimed, worker="w2") == [True]
    assert (await flowing.admit()).moved == 1


async def test_in_no_time_of_a_period_more_are_let_through_than_the_rate(stage: Stage) -> None:
    """In any such time, wherever it begins; and nothing waits for longer than it has to."""
    rate, period_ms, count = 5, 60, 32
    flowing = Flowing(stage, key=LimitSettings(rate=rate, period_ms=period_ms))
    ids = await flowing.add("a", count)
    let_through: list[int] = []

    async def all_through() -> bool:
        moved = await flowing.admit()
        let_through.extend([moved.now_ms] * moved.moved)
        if moved.next_due_ms is not None and len(let_through) < count:
            assert moved.next_due_ms == let_through[-rate] + period_ms, "then the oldest of the last period is out of it"
        return len(let_through) == count

    await eventually(all_through, what="all were let through")

    assert await flowing.ready() == ids
    for at, ms in enumerate(let_through):
        assert bisect_left(let_through, ms + period_ms) - at <= rate
    assert {id_of(entry) for entry in await flowing.read()} == set(ids)


async def test_the_log_of_a_rate_is_forgotten_when_its_period_is_over(stage: Stage) -> None:
    """Also that of a key that never comes again."""
    flowing = Flowing(stage, key=LimitSettings(rate=1, period_ms=20))
    await flowing.add("a")
    await flowing.admit()
    assert set(await flowing.sets()) == {"held", "log", "logs"}
    await flowing.finish(*await flowing.read())

    async def forgotten() -> bool:
        await flowing.admit()
        return await flowing.sets() == {}

    await eventually(forgotten, what="nothing is left of it")


async def test_a_topic_has_a_limit_over_all_its_lanes_and_keys_take_turns(stage: Stage) -> None:
    """Messages with a flow key and without, of any priority, share it; a key with a long line does not stand before another."""
    flowing = Flowing(stage, topic=LimitSettings(concurrency=2), key=LimitSettings(concurrency=1))
    long, short = await flowing.add("a", 4), await flowing.add("b", 2)
    plain = [*await flowing.add(None, 2), *await flowing.add(None, 2, "high")]
    order: list[str] = []
    while await flowing.admit_all() or await flowing.ready():
        entries = [*await flowing.read(), *await flowing.read()]  # the first read asks for one of a level that was empty
        assert len(entries) <= 2
        order += ids_of(entries)
        assert len(await flowing.held()) == len(entries)
        await flowing.finish(*entries)

    assert sorted(order) == sorted([*long, *short, *plain])
    assert order.index(short[1]) < order.index(long[3])
    assert await flowing.sets() == {}


async def test_a_rate_of_a_topic_says_when_to_look_again(stage: Stage) -> None:
    """Nothing is looked at before, however much is due."""
    flowing = Flowing(stage, topic=LimitSettings(rate=2, period_ms=60_000))
    await flowing.add(None, 5)

    first = await flowing.admit("alpha")
    again = await flowing.admit("alpha")

    assert (first.moved, again.moved) == (2, 0)
    assert first.next_due_ms == first.now_ms + 60_000 == again.next_due_ms


async def test_a_key_that_is_paused_waits_and_goes_on(stage: Stage) -> None:
    """Whatever was let through before goes on; a limit that is set meanwhile holds for what waits."""
    flowing = Flowing(stage)
    await flow.pause(stage.store, "alpha", "a", paused=True)
    ids = await flowing.add("a", 3)
    other = await flowing.add("b")
    assert (await flowing.admit()).moved == 1
    assert await flowing.ready() == other
    found = await flow.get(stage.store, "alpha", "a")
    assert (found.paused, found.waiting, found.held, found.own) == (True, 3, 0, False)

    await flow.set_limit(stage.store, "alpha", "a", Limit(0, 1_000, 1))
    assert (await flowing.admit()).moved == 0
    await flow.pause(stage.store, "alpha", "a", paused=False)

    assert (await flowing.admit()).moved == 1
    assert await flowing.held() == {ids[0]}
    await flow.set_limit(stage.store, "alpha", "a", None)
    assert (await flowing.admit()).moved == 2
    assert await stage.client.zrange(stage.keys.flow("alpha", "limits"), 0, -1) == []


async def test_what_waits_in_line_can_be_cancelled_hastened_and_moved(stage: Stage) -> None:
    """The next in line goes instead of one that is gone; one that got another time comes again at that time."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    first, gone, later, last = await flowing.add("a", 4)
    await flowing.admit()
    await messages.cancel(stage.store, gone)
    moved = await messages.change(stage.store, later, due_ms=await stage.now_ms() + HOUR_MS)
    assert (moved.status, moved.parked) == ("scheduled", False)
    hastened = await messages.deliver_now(stage.store, last)
    assert hastened.status == "scheduled"
    await flowing.admit()
    assert (await messages.get(stage.store, last)).parked
    await flowing.finish(*await flowing.read())

    assert (await flowing.admit()).moved == 1
    assert await flowing.held() == {last}
    assert [await stage.status(one) for one in (first, gone, later)] == ["delivered", "cancelled", "scheduled"]
    await flowing.finish(*await flowing.read())
    await messages.deliver_now(stage.store, later)
    assert (await flowing.admit()).moved == 1


async def test_what_was_spent_comes_through_the_line(stage: Stage) -> None:
    """Attempts and deferrals of a message that failed before; and its priority decides the stream."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    (failed,) = await flowing.add("a", 1, "high")
    await flowing.admit()
    (entry,) = await flowing.read()
    await stage.settle(retry(entry, attempts=2, deferrals=3))
    await flowing.add("a", 1)
    await flowing.admit()  # the other one takes the place: it was due before
    await flowing.admit()

    view = await messages.get(stage.store, failed)
    assert (view.status, view.attempts, view.parked) == ("retrying", 2, True)
    await flowing.finish(*await flowing.read())
    await flowing.admit()
    (again,) = await flowing.read()
    assert (id_of(again), again.attempts, again.deferrals) == (failed, 2, 3)
    assert again.stream == stage.keys.stream("alpha", "high")


async def test_a_full_stream_takes_no_more(stage: Stage) -> None:
    """What is due, and what waits in line, stays where it is safe; a little later it is looked at again."""
    flowing = Flowing(stage)
    ids = await flowing.add("a", 5)

    full = await flowing.admit(longest=2)

    assert (full.moved, full.stream_full) == (2, True)
    other = await flowing.add("b", priority="high")
    assert (await flowing.admit(longest=2)).moved == 1, "a full stream holds up nothing for another"
    read = await flowing.read()
    assert sorted(ids_of(read)) == sorted([*ids[:2], *other])
    await flowing.finish(*read)

    async def moved() -> bool:
        await flowing.admit(longest=3)
        return await flowing.ready() == ids[2:]

    await eventually(moved, what="the rest was moved")


async def test_a_limit_of_the_settings_that_changed_holds_for_what_waits(stage: Stage) -> None:
    """Whatever the old one said of when to look again."""
    flowing = Flowing(stage, key=LimitSettings(rate=1, period_ms=86_400_000, concurrency=1))
    ids = await flowing.add("a", 5)
    assert (await flowing.admit()).moved == 1

    flowing = Flowing(stage, key=LimitSettings(concurrency=4))

    assert (await flowing.admit()).moved == 3
    assert await flowing.held() == set(ids[:4])
    assert (await Flowing(stage).admit()).moved == 1


async def test_the_logs_of_many_keys_are_cleared_as_fast_as_they_are_made(stage: Stage) -> None:
    """And no call clears more than a bounded number of entries."""
    flowing = Flowing(stage, key=LimitSettings(rate=100_000, period_ms=1))
    log, logs = stage.keys.flow("alpha", "log"), stage.keys.flow("alpha", "logs")
    await stage.client.zadd(log, {f"k{number} {1:015} x{number}": 0 for number in range(150)})
    await stage.client.zadd(log, {f"one {1:015} x{number}": 0 for number in range(1_500)})
    await stage.client.zadd(logs, {f"k{number}": 1 for number in range(150)} | {"one": 2})

    left = []
    for _ in range(3):
        await flowing.admit(limit=100)
        left.append(await stage.client.zcard(log))

    assert left == [650, 0, 0]
    assert await flowing.sets() == {}


async def test_lanes_under_a_limit_of_their_topic_do_not_starve_each_other(stage: Stage) -> None:
    """What has just become due goes though lines alone could use the topic's places up for ever."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    for key in "ab":
        await flowing.add(key, 100)
    await flowing.admit(limit=500)
    limited = Flowing(stage, topic=LimitSettings(concurrency=1), key=LimitSettings(concurrency=1))
    (late,) = await limited.add("c")
    places: list[str] = []
    while late not in places:
        entries = await limited.read()
        places += ids_of(entries)
        await limited.finish(*entries)
        await limited.admit()

    assert len(places) < 100


async def test_a_topic_of_the_name_of_a_lane_is_a_topic_like_any_other(stage: Stage) -> None:
    """None of its messages is taken for one that waits for its flow key."""
    (message_id,) = await stage.add(await stage.now_ms() + HOUR_MS, topic="parked")

    assert not (await messages.get(stage.store, message_id)).parked
    await messages.change(stage.store, message_id, due_ms=await stage.now_ms() + 2 * HOUR_MS)
    assert await stage.client.zcard(stage.keys.due("parked")) == 1


async def test_a_call_is_bounded(stage: Stage) -> None:
    """However many are due, and however many wait in line."""
    flowing = Flowing(stage, key=TWO)
    await flowing.add("a", 30)

    for _ in range(4):
        moved = await flowing.admit(limit=10)
        assert moved.moved <= 10
    assert await stage.client.zcard(stage.keys.parked("alpha")) == 28
    assert await stage.client.zcard(stage.keys.due("alpha:limited")) == 0


async def test_a_stranger_s_members_go_like_any_other(stage: Stage) -> None:
    """What is no record goes on to the workers, who bury it; what only resembles one hurts nobody."""
    flowing = Flowing(stage, key=TWO)
    strange = [
        b"",
        b"\x00\xff",
        b'x v2 1 text {"priority":"odd"}\nx',
        b'x v2 1 text {"flow_key":""}\n',
        b'y v2 1 text {"flow_key":"a',
    ]
    await stage.client.zadd(stage.keys.due("alpha:limited"), {member: 1 + number for number, member in enumerate(strange)})

    assert (await flowing.admit()).moved == len(strange)


async def test_a_flow_key_is_read_whatever_else_a_record_asks_for(stage: Stage) -> None:
    """In every combination that the store writes: none has a limit of its own by mistake."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    first_ms = await stage.now_ms() - 10_000
    others = [
        Options(),
        Options(expires_ms=first_ms + HOUR_MS),
        Options(retry=RetryOptions(max_attempts=2), labels=("flow_key",), headers={"a": "b"}),
        Options(content_type="text/csv", deadline_ms=5, trace="00-0-0-01"),
    ]
    ids: list[str] = []
    for priority in (None, "high", "low"):
        for one in others:
            options = msgspec.structs.replace(one, flow_key="a/'{}[%d]:~", priority=priority)
            ids += await stage.add(first_ms + len(ids), options=options)

    await flowing.admit()

    assert await flowing.ready() == ids[:1]
    assert [one.flow_key for one in await flow.flow_keys(stage.store, "alpha", "", 10)] == ["a/'{}[%d]:~"]


async def test_many_dispatchers_let_no_more_through_than_one(stage: Stage) -> None:
    """At the same moment."""
    flowing = Flowing(stage, key=TWO)
    for key in "abcde":
        await flowing.add(key, 10)

    await asyncio.gather(*(flowing.admit() for _ in range(8)))

    assert len(await flowing.ready()) == len(set(await flowing.ready())) == 10
