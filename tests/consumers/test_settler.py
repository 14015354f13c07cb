"""Settlements go out in batches, survive an outage, and are refused and counted where they come too late."""

from __future__ import annotations

import asyncio
import threading

import pytest
from msgspec.structs import replace

from consumers.settler import Settler
from consumers.verdict import finished, verdict
from consumers.worker import Worker
from shared.errors import Outage
from shared.store.entries import Lease, Settlement
from tests.consumers.conftest import MakeWorker, Own
from tests.consumers.flow import Flow
from tests.support.waiting import eventually


class Desk:
    """A settler beside a worker that has read some messages."""

    def __init__(self, worker: Worker, batch_size: int = 100) -> None:
        self.worker = worker
        self.line = worker._lines[0]
        self.settled: list[tuple[str, bool]] = []
        self.leases: dict[str, Lease] = {}
        """What is held by now, by entry: nothing, unless a test says so."""
        self.settler = Settler(self.line.deliveries, batch_size, 1000, self._note, self._lease_now)

    async def _lease_now(self, settlement: Settlement) -> Lease | None:
        return self.leases.get(settlement.lease.entry_id)

    def _note(self, settlement: Settlement, took_effect: bool) -> None:
        self.settled.append((settlement.message_id, took_effect))

    async def read(self, count: int) -> list[Settlement]:
        """Reads that many; the settlements that end them well."""
        entries = await self.line.deliveries.read({"alpha": count})
        deliveries = [self.worker.runner._delivery(self.line, entry) for entry in entries]
        return [finished(one, "delivered", 1, "worker-1") for one in deliveries if one is not None]


@pytest.fixture
async def worker(make_worker: MakeWorker) -> Worker:
    return await make_worker()


async def test_settlements_go_in_batches_in_their_order(worker: Worker, flow: Flow) -> None:
    """Five settlements with a batch of two take three scripts; each is told once that it took effect."""
    ids = await flow.ready(5)
    desk = Desk(worker, batch_size=2)
    for settlement in await desk.read(5):
        desk.settler.report(settlement)
    assert (desk.settler.backlog, len(await flow.pending())) == (5, 5)

    sizes = [await desk.settler.run_once() for _ in range(3)]

    assert sizes == [2, 2, 1]
    assert desk.settled == [(message_id, True) for message_id in ids]
    assert (desk.settler.backlog, await flow.length(), await flow.pending()) == (0, 0, {})
    assert await flow.statuses(ids) == {"delivered"}


async def test_what_ends_while_a_batch_is_under_way_goes_together_in_the_next(worker: Worker, flow: Flow) -> None:
    """The first settlement goes alone; all that are reported until its answer comes share one batch."""
    await flow.ready(10)
    desk = Desk(worker)
    first, *others = await desk.read(10)
    desk.settler.report(first)

    under_way = asyncio.create_task(desk.settler.run_once())
    await asyncio.sleep(0)
    for settlement in others:
        desk.settler.report(settlement)

    assert await under_way == 1
    assert await desk.settler.run_once() == 9


async def test_any_thread_may_report_and_flush_waits_for_all(worker: Worker, flow: Flow) -> None:
    """Reports from many threads at once are all settled once when ``flush`` returns."""
    ids = await flow.ready(60)
    desk = Desk(worker, batch_size=7)
    settlements = await desk.read(60)
    running = asyncio.create_task(desk.settler.run())

    def report(share: list[Settlement]) -> None:
        for settlement in share:
            desk.settler.report(settlement)

    threads = [threading.Thread(target=report, args=(settlements[start::6],)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    await desk.settler.flush()

    assert sorted(desk.settled) == sorted((message_id, True) for message_id in ids)
    assert (desk.settler.backlog, await flow.pending()) == (0, {})
    running.cancel()


async def test_flush_with_nothing_reported_returns_at_once(worker: Worker) -> None:
    """Nothing to wait for, also where nobody settles."""
    desk = Desk(worker)

    await asyncio.wait_for(desk.settler.flush(), 1)

    assert desk.settled == []


async def test_a_settlement_whose_lease_is_anothers_is_refused_and_counted(worker: Worker, flow: Flow) -> None:
    """A late settlement writes nothing, is told as such, and does not keep its neighbours from being settled."""
    ids = await flow.ready(2)
    desk = Desk(worker)
    late, good = await desk.read(2)
    entry = late.lease.entry_id
    await flow.take("stranger", entry)
    for settlement in (late, good):
        desk.settler.report(settlement)

    await desk.settler.run_once()

    assert desk.settled == [(ids[0], False), (ids[1], True)]
    assert desk.settler.fenced == 1
    assert await flow.pending() == {entry: ("stranger", 2)}
    assert (await flow.view(ids[0])).status == "running"
    await flow.take("worker-1", entry)  # for the end: given back and settled
    desk.settler.report(_with_deliveries(late, 3))
    await desk.settler.run_once()
    assert desk.settled[-1] == (ids[0], True)


def _with_deliveries(settlement: Settlement, deliveries: int) -> Settlement:
    return replace(settlement, lease=replace(settlement.lease, deliveries=deliveries))


async def test_a_settlement_sent_twice_has_one_effect(worker: Worker, flow: Flow) -> None:
    """Where the answer to a batch was lost, sending it again changes nothing: one retry waits, with one error."""
    (message_id,) = await flow.ready(1)
    desk = Desk(worker)
    (entry,) = await desk.line.deliveries.read({"alpha": 1})
    delivery = worker.runner._delivery(desk.line, entry)
    assert delivery is not None
    failed = verdict(delivery, ValueError("no"), 1, "worker-1")
    desk.settler.report(failed)
    await desk.line.deliveries.settle([failed], 1000)  # the batch that arrived, its answer lost
    before = await flow.view(message_id)

    await desk.settler.run_once()

    after = await flow.view(message_id)
    assert (before.status, before.attempts, len(before.errors)) == ("retrying", 1, 1)
    assert after == before
    assert desk.settler.backlog == 0
    await flow.redis.delete(flow.keys.due("alpha"), flow.keys.index, flow.keys.errors(message_id))


async def test_a_settlement_sent_again_after_a_lost_answer_is_not_called_late(worker: Worker, flow: Flow) -> None:
    """The repeat of a batch whose answer was lost is refused for what took effect: that is no lost lease, and not counted."""
    (message_id,) = await flow.ready(1)
    desk = Desk(worker)
    (settlement,) = await desk.read(1)
    desk.settler.report(settlement)
    await desk.line.deliveries.settle([settlement], 1000)
    desk.settler._unsure = 1  # as a batch of one leaves it that was sent and not answered

    await desk.settler.run_once()

    assert (desk.settled, desk.settler.fenced, desk.settler.backlog) == ([(message_id, False)], 0, 0)
    assert desk.settler._unsure == 0


async def test_a_settlement_follows_a_lease_claimed_anew(worker: Worker, flow: Flow) -> None:
    """After an outage a worker may claim its own delivery again: refused for the lease before, it is sent with that of now."""
    (message_id,) = await flow.ready(1)
    desk = Desk(worker)
    (settlement,) = await desk.read(1)
    desk.settler.report(settlement)
    await flow.take("worker-1", settlement.lease.entry_id)
    assert list((await flow.pending()).values()) == [("worker-1", 2)]
    desk.leases[settlement.lease.entry_id] = _with_deliveries(settlement, 2).lease

    await desk.settler.run_once()
    assert (desk.settled, desk.settler.backlog) == ([], 1)
    await desk.settler.run_once()

    assert desk.settled == [(message_id, True)]
    assert (desk.settler.fenced, await flow.pending()) == (0, {})


async def test_a_batch_is_bounded_by_its_bytes(worker: Worker, flow: Flow) -> None:
    """Records that a script has to move count with their size: large ones go in smaller batches, one at least."""
    await flow.ready(4)
    desk = Desk(worker)
    sizes = [2**21, 2**19, 2**19, 1]
    for settlement, size in zip(await desk.read(4), sizes, strict=True):
        desk.settler.report(replace(settlement, record_bytes=size))

    batches = [await desk.settler.run_once() for _ in range(3)]

    assert batches == [1, 2, 1]
    assert [took_effect for _, took_effect in desk.settled] == [True] * 4


async def test_an_outage_neither_loses_nor_doubles_settlements(own: Own) -> None:
    """While Redis is gone settlements wait in order; when it is back all take effect, once."""
    worker = await own.make_worker("worker-1")
    flow = own.flow
    ids = await flow.ready(20)
    desk = Desk(worker, batch_size=6)
    settlements = await desk.read(20)
    running = asyncio.create_task(desk.settler.run())

    own.server.kill()
    for settlement in settlements:
        desk.settler.report(settlement)
    with pytest.raises(Outage):
        await own.store.partitions[0].synchronise()
    assert (desk.settler.backlog, desk.settled, running.done()) == (20, [], False)
    own.server.start()

    await eventually(lambda: len(desk.settled) >= 20, what="everything is settled")
    await desk.settler.flush()
    assert desk.settled == [(message_id, True) for message_id in ids]
    assert desk.settler.fenced == 0
    assert (await flow.length(), await flow.pending()) == (0, {})
    assert await flow.statuses(ids) == {"delivered"}
    running.cancel()


async def test_a_programmers_error_ends_the_settler(worker: Worker, flow: Flow) -> None:
    """What is no outage is not waited out: it ends ``run``, and with it the process."""
    await flow.ready(1)
    desk = Desk(worker)
    (settlement,) = await desk.read(1)
    await flow.redis.set(flow.keys.dead, "not a ZSET")
    running = asyncio.create_task(desk.settler.run())

    desk.settler.report(settlement)

    with pytest.raises(Exception, match="WRONGTYPE"):
        await asyncio.wait_for(running, 5)
    await flow.redis.delete(flow.keys.dead)
    await desk.settler.run_once()
    assert len(desk.settled) == 1
