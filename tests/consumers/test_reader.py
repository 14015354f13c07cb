"""The reader takes what the worker can run, waits where there is nothing, and looks after what a lost answer brought."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest
from redis.asyncio import Redis

from consumers.capacity import Capacity
from consumers.worker import Worker
from shared.errors import Outage
from shared.settings import Settings
from shared.store.due import dispatch
from shared.store.entries import Entry
from shared.store.keys import GROUP
from shared.store.messages import get
from shared.store.partition import Store
from shared.waiting import end
from tests.consumers.conftest import MakeWorker, Own
from tests.consumers.flow import Flow
from tests.consumers.making import make_handler
from tests.dispatcher.waiting_messages import Waiting
from tests.support.waiting import eventually


def _held(worker: Worker) -> set[str]:
    return {delivery.record.id for delivery in worker.runner.held.all()}


@pytest.mark.leaves("stream", "index")
async def test_it_reads_what_the_plan_says_and_no_more(make_worker: MakeWorker, flow: Flow) -> None:
    """Four slots and two full topics: four are read, shared; the rest stays for others."""
    worker = await make_worker()
    reader = worker._lines[0].reader
    await flow.ready(20, "alpha")
    await flow.ready(20, "beta")

    read = await reader.run_once()

    assert read == len(worker.runner.held) == 4
    assert (len(await flow.pending("alpha")), len(await flow.pending("beta"))) == (2, 2)


@pytest.mark.leaves("stream", "index")
async def test_with_no_slot_free_it_asks_for_nothing_until_one_is(make_worker: MakeWorker, flow: Flow) -> None:
    """A full worker waits for room, not for Redis; the room it is told of is filled."""
    worker = await make_worker()
    reader = worker._lines[0].reader
    await flow.ready(20, "alpha")
    while len(worker.runner.held) < 3:  # the last slot is kept for the other topic
        await reader.run_once()
    worker.runner.pools.capacities["alpha"].taken("beta")
    waiting = asyncio.create_task(reader.run_once())
    await asyncio.sleep(0)
    assert (len(await flow.pending()), waiting.done()) == (3, False)

    worker.runner._drop(worker.runner.held.all()[0])

    assert await waiting == 0
    assert await reader.run_once() == 1


async def test_room_that_was_kept_for_a_claim_in_vain_is_told_of(make_worker: MakeWorker) -> None:
    """While a claim is under way its room is not planned with; when nothing came of it, the reader goes on at once."""
    worker = await make_worker()
    reader = worker._lines[0].reader
    with worker.runner.reserved({"alpha": 4}):
        waiting = asyncio.create_task(reader.run_once())
        await asyncio.sleep(0)
        assert worker.runner.plan() == {}
        assert not waiting.done()

    assert await asyncio.wait_for(waiting, 0.5) == 0
    assert worker.runner.plan() != {}


async def test_a_fast_topic_without_room_is_waited_for_and_not_asked_for_again_and_again(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other topics were kept and gave back is no room of its own: one look each wait, until a slot is free."""
    monkeypatch.setattr("consumers.reader.SOON_S", 5)
    worker = await make_worker()
    reader, capacity = worker._lines[0].reader, worker.runner.pools.capacities["alpha"]
    capacity.taken("alpha")
    capacity.freed("alpha", 0.001)
    while any("alpha" in worker.runner.plan() for _ in range(4)):  # whoever's turn it is
        capacity.taken("alpha")
    worker.runner.pools.capacities["beta"] = Capacity(["beta"], 4, 100)
    looks: list[dict[str, int]] = []
    read = worker._lines[0].deliveries.read

    async def noted(plan: dict[str, int]) -> list[Entry]:
        looks.append(plan)
        return await read(plan)

    monkeypatch.setattr(worker._lines[0].deliveries, "read", noted)
    waiting = asyncio.create_task(reader.run_once())
    await eventually(lambda: len(looks) == 1)
    with worker.runner.reserved({"beta": 1}):
        pass
    await asyncio.sleep(0)
    assert not waiting.done()

    worker.runner._room()

    assert await asyncio.wait_for(waiting, 1) == 0
    assert len(looks) == 1


@pytest.mark.leaves("stream", "index")
async def test_it_receives_what_arrives_while_it_waits(make_worker: MakeWorker, flow: Flow) -> None:
    """A message that becomes ready during the wait ends it."""
    worker = await make_worker()
    waiting = asyncio.create_task(worker._lines[0].reader.run_once())
    await eventually(lambda: _blocked(flow), what="it waits at Redis")

    ids = await flow.ready(1, "beta")

    assert await waiting == 1
    assert _held(worker) == set(ids)


async def _blocked(flow: Flow) -> bool:
    """Whether a client that is none of other tests' waits in a blocking read."""
    clients = await flow.redis.client_list()
    return any(client["name"] == "test" and "b" in client["flags"] for client in clients)


@pytest.mark.leaves("stream", "index", "topics")
async def test_partitions_that_wait_together_take_no_more_than_there_is_room_for(
    settings: Settings, redis: Redis, flow: Flow
) -> None:
    """Six readers wait for four slots, and all are served: two deliveries are given back, for others to run at once."""
    store = Store(msgspec.structs.replace(settings, partitions=6), "test")
    await store.synchronise()
    worker = Worker(store, store.settings, {"alpha": make_handler()}, "worker-1")
    for line in worker._lines:
        await line.open()
    reading = [asyncio.create_task(line.reader.run()) for line in worker._lines]
    await eventually(lambda: _all_blocked(flow, 6), what="all wait at Redis")

    ids = [message_id for number in range(6) for message_id in await Waiting(store, redis).put(1, 1, partition=number)]
    await asyncio.gather(*(dispatch(partition, "alpha", 10, 1000) for partition in store.partitions))

    async def settled() -> bool:
        statuses = Counter([(await get(store, message_id)).status for message_id in ids])
        return statuses == {"running": 4, "ready": 2}

    await eventually(settled, what="what there is no room for is given back")
    assert len(worker.runner.held) == 4
    await end(*reading)
    await worker.close()
    await store.close()


async def _all_blocked(flow: Flow, count: int) -> bool:
    clients = await flow.redis.client_list()
    return len([client for client in clients if client["name"] == "test" and "b" in client["flags"]]) == count


async def test_nothing_to_read_is_no_error(make_worker: MakeWorker, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ends with nothing gives nothing, and Redis has answered."""
    monkeypatch.setattr("consumers.reader.WAIT_MS", 5)
    worker = await make_worker()
    reader = worker._lines[0].reader
    before_s = reader.answered_s

    assert await reader.run_once() == 0

    assert reader.answered_s > before_s
    assert len(worker.runner.held) == 0


@pytest.mark.leaves("stream", "index")
async def test_after_a_lost_answer_what_is_pending_is_given_back_before_the_next_read(
    make_worker: MakeWorker, flow: Flow
) -> None:
    """What an answer brought that never came is handed back and read again; what is held stays what it is."""
    worker = await make_worker()
    line = worker._lines[0]
    first = await flow.ready(1)
    await line.reader.run_once()
    (held,) = worker.runner.held.all()
    second = await flow.ready(1)
    await line.deliveries.read({"alpha": 10})  # with this consumer's name, and its answer lost
    assert (len(await flow.pending()), _held(worker)) == (2, set(first))

    line.reader.answer_lost = True
    await line.reader.run_once()

    assert _held(worker) == {*first, *second}
    assert worker.runner.held.at(held.lease.stream, held.lease.entry_id) is held
    assert set(await flow.pending()) == {delivery.lease.entry_id for delivery in worker.runner.held.all()}
    assert line.reader.answer_lost is False


async def test_an_outage_is_waited_out_and_its_lost_answers_are_found(own: Own) -> None:
    """While Redis is gone the reader tries on; afterwards everything that is pending for it is held by it."""
    worker = await own.make_worker()
    line = worker._lines[0]
    ids = await own.flow.ready(2)
    await line.reader.run_once()
    await own.flow.ready(1)
    await line.deliveries.read({"alpha": 10})
    reading = asyncio.create_task(line.reader.run())

    own.server.kill()
    await eventually(lambda: line.reader.watch.failures > 1, what="the reader meets the outage")
    assert not reading.done()
    own.server.start()

    await eventually(lambda: len(worker.runner.held) == 3, what="what was lost is found")
    assert set(ids) < _held(worker)
    assert len(await own.flow.pending()) == 3
    assert line.reader.watch.failures == 0
    reading.cancel()


@pytest.mark.leaves("stream", "index")
async def test_a_group_that_is_gone_is_made_again_and_skips_nothing(make_worker: MakeWorker, flow: Flow) -> None:
    """Somebody destroyed the group: it is made anew from the start of the stream, and all that waits is read."""
    worker = await make_worker()
    ids = await flow.ready(3)
    await flow.redis.xgroup_destroy(flow.keys.stream("alpha"), GROUP)

    while len(worker.runner.held) < 3:
        await worker._lines[0].reader.run_once()

    assert _held(worker) == set(ids)
    assert set(await flow.pending()) == {delivery.lease.entry_id for delivery in worker.runner.held.all()}


@pytest.mark.leaves("stream", "index")
async def test_a_group_made_anew_does_not_start_what_is_held_a_second_time(make_worker: MakeWorker, flow: Flow) -> None:
    """What is read again because the group is new, and held here all the time, stays one delivery with a good lease."""
    worker = await make_worker()
    await flow.ready(2)
    line = worker._lines[0]
    await line.reader.run_once()
    held = worker.runner.held.all()
    await flow.redis.xgroup_destroy(flow.keys.stream("alpha"), GROUP)
    await flow.redis.xgroup_create(flow.keys.stream("alpha"), GROUP, id="0")
    assert await flow.pending() == {}

    while len(await flow.pending()) < 2:
        await line.reader.run_once()

    assert worker.runner.held.all() == held
    assert await line.renew_once() == 0
    assert worker.runner.pools.capacities["alpha"].held == 2


async def test_a_missing_group_on_a_full_redis_keeps_nobody_from_reading_the_others(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis out of memory refuses to make a group: the other topic is read, and the group is made when there is room."""
    monkeypatch.setattr("consumers.reader.WAIT_MS", 5)
    worker = await own.make_worker()
    line = worker._lines[0]
    ids = await own.flow.ready(1, "alpha")
    await own.redis.delete(own.flow.keys.stream("beta"))
    await own.redis.config_set("maxmemory", 1)

    for _ in range(2):  # the first read meets the missing group
        await line.reader.run_once()

    assert line.deliveries.groupless == {own.flow.keys.stream("beta")}
    assert _held(worker) == set(ids)
    await line.upkeep_once()
    assert line.deliveries.groupless == {own.flow.keys.stream("beta")}
    await own.redis.config_set("maxmemory", 0)
    await line.upkeep_once()
    assert line.deliveries.groupless == set()
    more = await own.flow.ready(1, "beta")
    while len(worker.runner.held) < 2:
        await line.reader.run_once()
    assert _held(worker) == {*ids, *more}


async def test_a_full_redis_without_the_streams_of_some_levels_drains(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start for the first time when it is full already: what lies in the streams that are there is read all the same."""
    monkeypatch.setattr("consumers.reader.WAIT_MS", 5)
    worker = await own.make_worker()
    line = worker._lines[0]
    ids = await own.flow.ready(2, "alpha")
    await own.redis.delete(own.flow.keys.stream("alpha", "high"), own.flow.keys.stream("alpha", "low"))
    await own.redis.config_set("maxmemory", 1)

    await line.deliveries.create_groups()
    await line.reader.run_once()

    assert line.deliveries.groupless == {own.flow.keys.stream("alpha", level) for level in ("high", "low")}
    assert _held(worker) == set(ids)
    await own.redis.config_set("maxmemory", 0)


@pytest.mark.leaves("stream:alpha", "index")
async def test_a_group_that_vanished_is_made_again_beside_a_backlog(make_worker: MakeWorker, flow: Flow) -> None:
    """Of a level that nobody reads otherwise, while another one has more than can be run."""
    worker = await make_worker()
    line = worker._lines[0]
    await flow.ready(40, "alpha")
    await flow.redis.delete(flow.keys.stream("alpha", "high"))

    assert len(await line.deliveries.read({"alpha": 2})) == 2

    assert [group["name"] for group in await flow.redis.xinfo_groups(flow.keys.stream("alpha", "high"))] == [GROUP.encode()]


async def test_no_group_at_all_on_a_full_redis_is_an_outage(own: Own) -> None:
    """With nothing that could be read, the reader waits it out instead of asking again and again."""
    worker = await own.make_worker()
    line = worker._lines[0]
    streams = [stream for topic in ("alpha", "beta") for stream in own.flow.keys.streams(topic)]
    await own.redis.delete(*streams)
    await own.redis.config_set("maxmemory", 1)

    with pytest.raises(Outage, match="oom"):
        await line.reader.run_once()

    assert line.deliveries.groupless == set(streams)
    await own.redis.config_set("maxmemory", 0)


@pytest.mark.leaves("stream:alpha:normal")
async def test_a_programmers_error_ends_the_reader(make_worker: MakeWorker, flow: Flow) -> None:
    """What is no outage is not waited out."""
    worker = await make_worker()
    await flow.redis.set(flow.keys.stream("alpha"), "no stream")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await asyncio.wait_for(worker._lines[0].reader.run(), 5)
