"""dispatch.lua, through ``due.dispatch``."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import Outage
from shared.settings import Settings
from shared.store import due
from shared.store.connect import Client
from shared.store.keys import GROUP
from tests.store.stage import HOUR_MS, Stage, contents, id_of, open_stage, retry, score_of

LAST_TIE = 2047 << 50
"""The random bits of the latest score within a millisecond."""


@pytest.mark.leaves("due:", "index", "stream:")
async def test_it_moves_what_is_due_to_the_millisecond_and_nothing_early(stage: Stage) -> None:
    """Of messages at every millisecond around now, exactly those move whose millisecond has come by Redis's clock.

    Their ties make the last of a millisecond almost the next one: its whole part alone decides.
    """
    now_ms = await stage.now_ms()
    times = range(now_ms - 20, now_ms + 300)
    ids = dict(zip(times, await stage.add(*times, bits=[LAST_TIE] * len(times)), strict=True))

    moved, next_due_ms, at_ms, full = await due.dispatch(stage.partition, "alpha", 1000, 1000)

    assert now_ms <= at_ms < now_ms + 299, "the machine was too slow for this test's messages"
    assert moved == at_ms - times[0] + 1
    assert (next_due_ms, full) == (at_ms + 1, False)
    assert list(await stage.waiting()) == [message_id for due_ms, message_id in ids.items() if due_ms > at_ms]
    entries = await stage.read(1000)
    assert [id_of(entry) for entry in entries] == [message_id for due_ms, message_id in ids.items() if due_ms <= at_ms]
    assert [entry.due_ms for entry in entries] == list(times[:moved])


@pytest.mark.leaves("index", "stream:")
async def test_a_moved_message_is_in_its_stream_and_indexed(stage: Stage, redis: Client) -> None:
    """The entry shows due time, attempts and the record as they are; the index names the entry; the due set is empty."""
    (message_id,) = await stage.overdue()
    (record,) = await redis.zrange(stage.keys.due("alpha"), 0, -1)

    result = await due.dispatch(stage.partition, "alpha", 100, 1000)

    assert (result.moved, result.next_due_ms) == (1, None)
    ((entry, fields),) = await redis.xrange(stage.keys.stream("alpha"))
    due_text = str(int(score_of(message_id))).encode()
    assert fields == {b"due": due_text, b"attempts": b"0", b"message": record}
    assert await redis.hgetall(stage.keys.index) == {message_id.encode(): b"stream normal " + entry}
    assert await redis.exists(stage.keys.due("alpha")) == 0


async def test_nothing_due_writes_nothing(stage: Stage, redis: Client, prefix: str) -> None:
    """Without messages, nothing is made: no stream, no group."""
    before = await contents(redis, prefix)

    result = await due.dispatch(stage.partition, "alpha", 100, 1000)

    assert (result.moved, result.next_due_ms, result.stream_full) == (0, None, False)
    assert await contents(redis, prefix) == before


@pytest.mark.leaves("due:")
async def test_a_message_of_the_next_hour_stays(stage: Stage, redis: Client, prefix: str) -> None:
    """What is not due stays as it is, and its time is the answer."""
    due_ms = await stage.now_ms() + HOUR_MS
    await stage.add(due_ms, due_ms + 5)
    before = await contents(redis, prefix)

    result = await due.dispatch(stage.partition, "alpha", 100, 1000)

    assert (result.moved, result.next_due_ms) == (0, due_ms)
    assert await contents(redis, prefix) == before


@pytest.mark.leaves("due:", "index", "stream:")
async def test_a_batch_moves_the_earliest_first(stage: Stage) -> None:
    """The limit bounds a batch; the next due time of what is left says that there is more."""
    ids = await stage.overdue(5)

    result = await due.dispatch(stage.partition, "alpha", 3, 1000)

    assert (result.moved, result.next_due_ms) == (3, int(score_of(ids[3])))
    assert list(await stage.waiting()) == ids[3:]
    assert [id_of(entry) for entry in await stage.read(10)] == ids[:3]


@pytest.mark.leaves("index", "stream:")
async def test_a_batch_is_bounded_by_bytes_too(stage: Stage) -> None:
    """Large bodies make smaller batches, so that no call blocks Redis for long; called again, all of them move in order."""
    first_ms = await stage.now_ms() - 10_000
    ids = await stage.add(*range(first_ms, first_ms + 7), body=b"x" * 400_000)

    first = await due.dispatch(stage.partition, "alpha", 100, 1000)
    second = await due.dispatch(stage.partition, "alpha", 100, 1000)

    assert 1 <= first.moved <= 5
    assert (first.next_due_ms, first.stream_full) == (first_ms + first.moved, False)
    assert (first.moved + second.moved, second.next_due_ms) == (7, None)
    assert [id_of(entry) for entry in await stage.read(10)] == ids


@pytest.mark.leaves("due:", "index", "stream:")
async def test_a_stream_never_grows_beyond_its_limit(stage: Stage, redis: Client) -> None:
    """What has no room stays safe in the due set; a full stream is said to be full."""
    ids = await stage.overdue(5)

    early = await due.dispatch(stage.partition, "alpha", 2, 3)
    first = await due.dispatch(stage.partition, "alpha", 100, 3)
    second = await due.dispatch(stage.partition, "alpha", 100, 3)

    assert (early.moved, early.stream_full) == (2, False)
    assert (first.moved, first.stream_full) == (1, False)
    assert (second.moved, second.stream_full, second.next_due_ms) == (0, True, int(score_of(ids[3])))
    assert await redis.xlen(stage.keys.stream("alpha")) == 3
    assert list(await stage.waiting()) == ids[3:]


@pytest.mark.leaves("due:", "index", "stream:")
async def test_a_topic_moves_its_own_messages_only(stage: Stage) -> None:
    """The other topic's due messages stay for its own call."""
    (other,) = await stage.overdue(topic="beta")
    await stage.overdue(topic="alpha")

    assert await stage.dispatch("alpha") == 1

    assert list(await stage.waiting("beta")) == [other]


@pytest.mark.leaves("index", "stream:")
async def test_the_group_is_made_with_the_stream(stage: Stage, redis: Client) -> None:
    """A worker that never made its group finds it, and every message in it: a full Redis would refuse it the group."""
    await stage.ready(3)

    (group,) = await redis.xinfo_groups(stage.keys.stream("alpha"))

    assert (group["name"], group["last-delivered-id"]) == (GROUP.encode(), b"0-0")


@pytest.mark.leaves("index", "stream:")
@pytest.mark.parametrize(("attempts", "deferrals"), [(1, 0), (3, 0), (0, 4), (2, 5)])
async def test_attempts_and_deferrals_go_with_the_message(stage: Stage, attempts: int, deferrals: int) -> None:
    """What a retry has spent is in the delivery after it, and its due time is the retry's own."""
    (first,) = await stage.running()
    before_ms = await stage.now_ms()
    await stage.settle(retry(first, attempts=attempts, deferrals=deferrals))

    await stage.dispatch()

    (again,) = await stage.read()
    assert (again.attempts, again.deferrals, again.deliveries) == (attempts, deferrals, 1)
    assert again.record == first.record
    assert before_ms <= again.due_ms <= await stage.now_ms()
    await stage.settle(retry(again, delay_ms=0, attempts=attempts + 1, deferrals=deferrals))
    await stage.dispatch()
    assert [(entry.attempts, entry.deferrals) for entry in await stage.read()] == [(attempts + 1, deferrals)]
    assert (await stage.client.delete(stage.keys.errors(id_of(first)))) == 1


@pytest.mark.leaves("index", "stream:")
async def test_a_member_that_is_no_record_is_moved_like_any_other(stage: Stage, redis: Client) -> None:
    """What a stranger put into the due set does not hold up what is behind it; the worker buries it."""
    await redis.zadd(stage.keys.due("alpha"), {b"": 1, b"\x00\xff no record": 2})
    await stage.overdue()

    assert await stage.dispatch() == 3

    assert [entry.record for entry in await stage.read(2)] == [b"", b"\x00\xff no record"]


@pytest.mark.leaves("index", "stream:")
async def test_two_dispatchers_share_a_backlog(stage: Stage) -> None:
    """Called at once, two dispatchers move each message exactly once."""
    ids = await stage.overdue(50)

    moved = await asyncio.gather(*(due.dispatch(stage.partition, "alpha", 7, 1000) for _ in range(10)))

    assert sum(one.moved for one in moved) == 50
    assert [id_of(entry) for entry in await stage.read(100)] == ids


@pytest.mark.leaves("due:")
async def test_the_subscription_hears_an_earlier_arrival(stage: Stage) -> None:
    """``WakeUps`` says topic and due time of a new head."""
    wake_ups = due.WakeUps(stage.partition)
    assert await wake_ups.next() is None  # the subscription's own confirmation
    due_ms = await stage.now_ms() + HOUR_MS

    await stage.add(due_ms, topic="beta")

    assert await wake_ups.next() == ("beta", due_ms)
    await wake_ups.close()


async def test_a_subscription_that_is_cut_off_is_an_outage_and_then_heals(settings: Settings, redis: Client, prefix: str) -> None:
    """When its connection is killed, the next call says so, and the one after subscribes anew."""
    async with open_stage(settings, name=prefix) as stage:
        wake_ups = due.WakeUps(stage.partition)
        assert await wake_ups.next() is None
        (row,) = [row for row in await redis.client_list(_type="pubsub") if row["name"] == prefix]
        await redis.client_kill_filter(_id=row["id"])

        with pytest.raises(Outage) as caught:
            await wake_ups.next()

        assert caught.value.kind == "connection"
        assert await wake_ups.next() is None
        await wake_ups.close()
