"""hand_back.lua, through ``Deliveries.hand_back``."""

from __future__ import annotations

import pytest

from shared.store.connect import Client
from shared.store.entries import Lease
from tests.store.stage import Stage, contents, finished, id_of, lease_of, retry

pytestmark = pytest.mark.leaves("index", "stream:", "errors:")


async def test_a_delivery_that_was_handed_back_is_as_before(stage: Stage, redis: Client) -> None:
    """Any worker reads it at once, with its id, due time, attempts and deferrals unchanged, as a first delivery."""
    (first,) = await stage.running()
    await stage.settle(retry(first, attempts=2, deferrals=3))
    await stage.dispatch()
    (entry,) = await stage.read()

    assert await stage.worker().hand_back([lease_of(entry)]) == [True]

    assert await stage.pending() == []
    assert await stage.status(id_of(entry)) == "ready"
    (again,) = await stage.read(10, worker="w2")
    assert (again.record, again.due_ms, again.attempts, again.deferrals) == (entry.record, entry.due_ms, 2, 3)
    assert (again.deliveries, again.entry_id != entry.entry_id) == (1, True)
    assert await redis.hgetall(stage.keys.index) == {id_of(entry).encode(): f"stream normal {again.entry_id}".encode()}
    assert await redis.xlen(entry.stream) == 1


async def test_an_entry_without_deferrals_costs_no_byte_for_them(stage: Stage, redis: Client) -> None:
    """The fields of a new entry are those that dispatch wrote."""
    (entry,) = await stage.running()
    ((_, before),) = await redis.xrange(entry.stream)

    await stage.worker().hand_back([lease_of(entry)])

    ((_, after),) = await redis.xrange(entry.stream)
    assert after == before


@pytest.mark.parametrize(("deliveries", "attempts"), [(1, 0), (2, 0), (3, 1), (6, 4)])
async def test_lost_deliveries_stay_counted(stage: Stage, deliveries: int, attempts: int) -> None:
    """The new entry counts its deliveries anew, so what the old one had lost goes into the attempts."""
    (entry,) = await stage.running()
    await stage.let_idle(entry, 0, deliveries)

    assert await stage.worker().hand_back([lease_of(entry, deliveries)]) == [True]

    assert [one.attempts for one in await stage.read()] == [attempts]


@pytest.mark.parametrize("fence", ["another worker", "another delivery", "settled", "no stream", "unknown entry"])
async def test_a_lost_lease_is_refused_and_left_alone(stage: Stage, redis: Client, prefix: str, fence: str) -> None:
    """What another worker holds, or what is over, is not put back."""
    (entry,) = await stage.running()
    lease = lease_of(entry)
    if fence == "another worker":
        await stage.let_idle(entry, 0, 1, worker="w2")
    elif fence == "another delivery":
        await stage.let_idle(entry, 0, 2)
    elif fence == "settled":
        await stage.settle(finished(entry))
    elif fence == "no stream":
        await redis.delete(entry.stream)
    else:
        lease = Lease(entry.stream, "1-1", 1)
    before = await contents(redis, prefix)

    assert await stage.worker().hand_back([lease]) == [False]

    assert await contents(redis, prefix) == before


async def test_the_same_delivery_twice_in_a_batch_is_put_back_once(stage: Stage, redis: Client) -> None:
    """The second of the two is refused; the message lies in the stream once."""
    (entry,) = await stage.running()

    assert await stage.worker().hand_back([lease_of(entry), lease_of(entry)]) == [True, False]

    assert await redis.xlen(entry.stream) == 1


async def test_several_streams_are_handed_back_at_once(stage: Stage) -> None:
    """The answers are in the order of the leases; a lost one among them holds up nobody."""
    first, lost = await stage.running(2)
    (other,) = await stage.running(topic="beta")
    await stage.let_idle(lost, 0, 1, worker="w2")

    assert await stage.worker().hand_back([lease_of(one) for one in (other, lost, first)]) == [True, False, True]

    assert [await stage.status(id_of(one)) for one in (first, lost, other)] == ["ready", "running", "ready"]


async def test_a_lease_whose_entry_was_deleted_is_dropped(stage: Stage, redis: Client) -> None:
    """There is nothing to put back: the lease ends, and the stream stays empty."""
    (entry,) = await stage.running()
    await redis.xdel(entry.stream, entry.entry_id)

    assert await stage.worker().hand_back([lease_of(entry)]) == [True]

    assert (await stage.pending(), await redis.xlen(entry.stream)) == ([], 0)


async def test_an_entry_that_is_no_record_is_put_back_too(stage: Stage, redis: Client) -> None:
    """What a stranger put into the stream does not hold up the batch that it is in."""
    await stage.worker().create_groups()
    await redis.xadd(stage.keys.stream("alpha"), {"foo": "bar"})
    (stranger,) = await stage.read()
    (entry,) = await stage.running()

    assert await stage.worker().hand_back([lease_of(stranger), lease_of(entry)]) == [True, True]

    assert [one.record for one in await stage.read(10)] == [b"", entry.record]


async def test_what_redis_says_is_held_can_be_handed_back(stage: Stage) -> None:
    """After a lost answer a worker learns from ``pending`` what it holds, without raising a counter, and gives it back."""
    entries = [*await stage.running(2), *await stage.running(topic="beta")]
    await stage.running(worker="w2")

    held = await stage.worker().pending()

    assert {(one.stream, one.entry_id, one.deliveries) for one in held} == {(one.stream, one.entry_id, 1) for one in entries}
    assert await stage.worker().hand_back(held) == [True, True, True]
    assert await stage.worker().pending() == []
