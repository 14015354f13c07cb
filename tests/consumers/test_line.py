"""A worker's line to one partition: renewing, claiming, giving back. Each step is called alone, on real Redis."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.delivery import Delivery
from consumers.line import Line
from consumers.message import Message
from consumers.worker import Worker
from shared.errors import Outage
from shared.logs import logger
from shared.store.messages import deliver_now
from shared.store.partition import Partition
from shared.waiting import end
from tests.consumers.conftest import MakeWorker, Own
from tests.consumers.flow import Flow
from tests.consumers.making import make_handler
from tests.support.waiting import eventually


class Held:
    """A worker whose handlers wait until they are let go."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.go = threading.Event()

    def handle(self, message: Message) -> None:
        self.started[message.id] += 1
        self.go.wait(60)  # longer than any test waits for anything else


@pytest.fixture
def work() -> Held:
    return Held()


async def _running(make_worker: MakeWorker, flow: Flow, work: Held, count: int = 1) -> tuple[Worker, Line, list[Delivery]]:
    """A worker in the middle of so many handlers."""
    worker = await make_worker(alpha=make_handler(work.handle))
    worker.runner.pools.start()
    await flow.ready(count)
    line = worker._lines[0]
    assert await line.reader.run_once() == count
    await eventually(lambda: len(work.started) == count, what="they run")
    return worker, line, worker.runner.held.all()


async def _waiting(make_worker: MakeWorker, flow: Flow, count: int = 2) -> tuple[Worker, Line, list[Delivery]]:
    """A worker that has read so many and started none."""
    worker = await make_worker()
    await flow.ready(count)
    line = worker._lines[0]
    while len(worker.runner.held) < count:
        await line.reader.run_once()
    return worker, line, worker.runner.held.all()


async def _settle(worker: Worker, count: int) -> None:
    """Lets so many settlements arrive, and sends them."""
    settler = worker._lines[0].settler
    await eventually(lambda: settler.backlog == count, what="the handlers ended")
    while settler.backlog:
        await settler.run_once()


# --- renewing ---------------------------------------------------------------------------------------------------------


@pytest.mark.leaves("stream", "index")
async def test_renewing_keeps_leases_young(make_worker: MakeWorker, flow: Flow) -> None:
    """Every lease is as new as its renewal, for the same holder and count, and the delivery knows since when."""
    _, line, (first, second) = await _waiting(make_worker, flow)
    await flow.age(1_500)
    before, sent_s = await flow.pending(), time.monotonic()
    assert min(await flow.idle()) >= 1_500

    lost = await line.renew_once()

    assert lost == 0
    assert await flow.pending() == before
    assert max(await flow.idle()) < 1_500
    assert first.confirmed_s >= sent_s
    assert second.confirmed_s >= sent_s


@pytest.mark.leaves("stream", "index")
async def test_a_lost_lease_is_dropped_before_its_start(make_worker: MakeWorker, flow: Flow) -> None:
    """What another worker claimed is forgotten here, its slot is free, and its new holder keeps it."""
    worker, line, (lost, kept) = await _waiting(make_worker, flow)
    await flow.take("stranger", lost.lease.entry_id)

    assert await line.renew_once() == 1

    assert worker.runner.held.all() == [kept]
    assert worker.runner.pools.by_topic["alpha"].intake.remove(lambda _: True) == [kept]
    assert worker.runner.pools.capacities["alpha"].held == 1
    assert (await flow.pending())[lost.lease.entry_id] == ("stranger", 2)
    assert worker.runner.counts["lost"] == 1


async def test_a_lease_lost_while_its_handler_runs_is_told_once(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """A running handler is left to end; its lease is asked for no more, and its settlement is refused and counted."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    await flow.steal()

    assert [await line.renew_once() for _ in range(3)] == [1, 0, 0]

    assert (worker.runner.held.all(), delivery.lost) == ([delivery], True)
    work.go.set()
    await _settle(worker, 1)
    assert (worker.runner.counts["lost"], worker.runner.counts["fenced"], len(worker.runner.held)) == (1, 1, 0)
    assert list((await flow.pending()).values()) == [("stranger", 2)]
    await flow.finish()


@pytest.mark.leaves("stream", "index")
async def test_a_handler_past_its_deadline_loses_its_lease(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """Renewal stops at the deadline, for that delivery only: a hung handler loses its message, a slow one keeps it."""
    _, line, (hung, slow) = await _running(make_worker, flow, work, 2)
    await flow.age(1_500)
    hung.started_s -= hung.policy.deadline_ms / 1000

    assert await line.renew_once() == 0

    ages = dict(zip(await flow.pending(), await flow.idle(), strict=True))
    assert ages[hung.lease.entry_id] >= 1_500 > ages[slow.lease.entry_id]
    work.go.set()


async def test_a_delivery_whose_own_settlement_was_quicker_is_not_lost(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """A renewal that finds the lease ended by this worker's own settlement tells of no loss."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    work.go.set()
    await eventually(lambda: line.settler.backlog == 1)
    settlement = line.settler._waiting[0]
    await line.deliveries.settle([settlement], 1000)

    assert await line.renew_once() == 0

    assert (delivery.lost, worker.runner.counts["lost"]) == (False, 0)
    await line.settler.run_once()


async def test_what_has_ended_keeps_its_lease_until_it_is_settled(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """Its settlement may wait for an outage to end, past the handler's deadline: nobody else gets it meanwhile."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    work.go.set()
    await eventually(lambda: delivery.ended)
    delivery.started_s -= delivery.policy.deadline_ms / 1000
    await flow.age(1_500)

    assert await line.renew_once() == 0

    assert max(await flow.idle()) < 1_500
    await _settle(worker, 1)


@pytest.mark.leaves("stream", "index")
async def test_many_leases_are_renewed_in_bounded_chunks(make_worker: MakeWorker, flow: Flow) -> None:
    """More leases than one script takes are all renewed."""
    worker = await make_worker()
    line = worker._lines[0]
    await flow.ready(450)
    worker.runner.receive(line, await line.deliveries.read({"alpha": 450}))
    await flow.age(1_500)
    assert len(worker.runner.held) == 450

    assert await line.renew_once() == 0

    assert max(await flow.idle()) < 1_500


# --- claiming ---------------------------------------------------------------------------------------------------------


async def _left_behind(make_worker: MakeWorker, flow: Flow, count: int) -> list[str]:
    """Messages that a worker read before it died, their leases long over."""
    dead = await make_worker("dead-worker")
    ids = await flow.ready(count)
    assert len(await dead._lines[0].deliveries.read({"alpha": count})) == count
    await flow.age()
    return ids


@pytest.mark.leaves("stream", "index")
async def test_claims_go_into_free_slots_only(make_worker: MakeWorker, flow: Flow) -> None:
    """Of ten stuck deliveries a worker of four slots takes four, starts them before all others, and asks for no more."""
    worker = await make_worker()
    await _left_behind(make_worker, flow, 10)
    line = worker._lines[0]

    assert [await line.claim_once() for _ in range(2)] == [4, 0]

    assert Counter((await flow.pending()).values()) == {("worker-1", 2): 4, ("dead-worker", 1): 6}
    assert len(worker.runner.held) == worker.runner.pools.capacities["alpha"]._held["alpha"] == 4
    assert (worker.runner.counts["claimed"], line.claimed) == (4, 4)


@pytest.mark.leaves("stream", "index")
async def test_readers_leave_a_slot_to_what_is_stuck(make_worker: MakeWorker, flow: Flow) -> None:
    """While a delivery is stuck and all slots are taken, the next slot is kept for it; not any longer than to the next claim."""
    worker = await make_worker()
    line, capacity = worker._lines[0], worker.runner.pools.capacities["alpha"]
    for _ in range(4):
        capacity.taken("alpha")
    assert await line.claim_once() == 0
    assert capacity.held == 4, "nothing is stuck, so no room is kept"
    await _left_behind(make_worker, flow, 1)

    assert await line.claim_once() == 0
    capacity.freed("alpha", None)

    assert worker.runner.plan() == {}
    assert await line.claim_once() == 1
    assert capacity.held == 4


@pytest.mark.leaves("stream", "index")
async def test_after_an_outage_owners_come_before_claims(make_worker: MakeWorker, flow: Flow) -> None:
    """All leases run out in a long outage: those who still run their deliveries renew them before anybody may claim."""
    worker = await make_worker()
    line, outages = worker._lines[0], ["one"]
    await _left_behind(make_worker, flow, 2)

    async def renew() -> None:
        if outages:
            outages.pop()
            raise Outage("connection", "as ordered")

    renewing = asyncio.create_task(line._every(0.01, "renew", renew))
    await eventually(lambda: not outages)
    await eventually(lambda: line._owners_first_until_s > time.monotonic())

    assert await line.claim_once() == 0
    assert await eventually(line.claim_once, within_s=5) == 2
    await end(renewing)


@pytest.mark.leaves("stream", "index")
async def test_an_outage_that_goes_on_keeps_claims_back_from_its_end(
    make_worker: MakeWorker, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that holds nothing meets the outage only by asking: the time of the owners begins when Redis answers again."""
    worker = await make_worker()
    line, out, asked = worker._lines[0], [True], [0]
    await _left_behind(make_worker, flow, 1)
    answer = Partition.synchronise

    async def ask(partition: Partition) -> None:
        asked[0] += 1
        if out:
            raise Outage("connection", "as ordered")
        await answer(partition)

    monkeypatch.setattr(Partition, "synchronise", ask)
    line._owners_first_until_s = time.monotonic() + 0.05
    claiming = asyncio.create_task(line._every(0.01, "claim", line.claim_once))
    await eventually(lambda: asked[0] > 20)  # longer than the time that was left
    assert line.claimed == 0

    out.clear()
    ended_s = time.monotonic()
    await eventually(lambda: line.claimed == 1, within_s=5)

    assert time.monotonic() - ended_s > 0.3 * worker._settings.consumers.lease_ms / 1000
    await end(claiming)


@pytest.mark.leaves("stream", "index")
async def test_after_a_step_of_rediss_clock_owners_come_before_claims(make_worker: MakeWorker, flow: Flow) -> None:
    """Set forward by more than a lease, it makes every lease look as if it had run out: those who hold them renew them first."""
    worker = await make_worker()
    line = worker._lines[0]
    await _left_behind(make_worker, flow, 2)
    line.partition.clock._offset_us -= 10_000_000  # as it was known before the step
    with pytest.raises(Outage, match="held up"):  # by that reading it comes too late
        await line.claim_once()

    await line.upkeep_once()

    assert await line.claim_once() == 0
    assert await eventually(line.claim_once, within_s=5) == 2


@pytest.mark.leaves("stream", "index")
async def test_a_young_lease_is_not_claimed(make_worker: MakeWorker, flow: Flow) -> None:
    """What another worker holds within its lease stays its."""
    worker, other = await make_worker(), await make_worker("worker-2")
    await flow.ready(3)
    await other._lines[0].deliveries.read({"alpha": 3})

    assert await worker._lines[0].claim_once() == 0

    assert set((await flow.pending()).values()) == {("worker-2", 1)}


async def test_what_is_claimed_is_run_and_settled(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """A first loss costs nothing: the message is delivered as its first attempt."""
    worker = await make_worker(alpha=make_handler(work.handle))
    ids = await _left_behind(make_worker, flow, 2)
    worker.runner.pools.start()
    work.go.set()

    assert await worker._lines[0].claim_once() == 2

    await _settle(worker, 2)
    assert work.started == Counter(ids)
    views = [await flow.view(message_id) for message_id in ids]
    assert {(view.status, view.attempts) for view in views} == {("delivered", 1)}


@pytest.mark.leaves("stream", "index")
async def test_one_suspect_is_at_work_at_a_time(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """Of deliveries lost twice or more one is taken, beside all that were lost once; the next when it is over."""
    worker = await make_worker(alpha=make_handler(work.handle))
    await _left_behind(make_worker, flow, 3)
    await flow.steal()  # now lost twice
    await flow.age()
    worker.runner.pools.start()
    line, told = worker._lines[0], list[str]()
    sink = logger.add(told.append, format="{message} {extra[id]}")

    assert [await line.claim_once() for _ in range(2)] == [1, 0]

    logger.remove(sink)
    (taken,) = worker.runner.held.all()
    assert any("whose lease ran out (loss 2)" in text and taken.record.id in text for text in told), "a loss leaves a trace"

    assert worker.runner.suspects() == 1
    work.go.set()
    await _settle(worker, 1)
    assert worker.runner.suspects() == 0
    assert await line.claim_once() == 1
    await _settle(worker, 1)
    assert sum(work.started.values()) == 2


async def test_claimed_from_oneself_is_no_second_start(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """After renewals failed for a whole lease, the running delivery gets the new lease, and settles with it."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    await flow.age()
    before_s = delivery.confirmed_s

    assert await line.claim_once() == 1

    assert worker.runner.held.all() == [delivery]
    assert delivery.lease.deliveries == 2
    assert delivery.confirmed_s > before_s
    assert worker.runner.pools.capacities["alpha"].held == 1
    assert await line.renew_once() == 0
    work.go.set()
    await _settle(worker, 1)
    assert (worker.runner.counts["finished"], worker.runner.counts["fenced"]) == (1, 0)
    assert work.started == Counter([delivery.record.id])


async def test_claimed_from_oneself_after_its_end_is_settled_once(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """A settlement that waited through an outage takes effect though its delivery was claimed anew: no second run."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    work.go.set()
    await eventually(lambda: line.settler.backlog == 1)
    await flow.age()

    assert await line.claim_once() == 1

    await _settle(worker, 1)
    assert (worker.runner.counts["finished"], worker.runner.counts["fenced"], len(worker.runner.held)) == (1, 0, 0)
    assert work.started == Counter([delivery.record.id])
    assert await flow.pending() == {}


async def test_a_settlement_refused_for_a_claim_of_ones_own_that_is_on_its_way_follows_it(
    make_worker: MakeWorker, flow: Flow, work: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim took effect before the settlement, and its answer comes after the refusal: no second run."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    work.go.set()
    await eventually(lambda: line.settler.backlog == 1)
    await flow.age()
    claim, arrived, go_on = line.deliveries.claim, asyncio.Event(), asyncio.Event()
    settle, answers = line.deliveries.settle, list[list[bool]]()

    async def slow_claim(*arguments: Any) -> Any:
        answer = await claim(*arguments)
        if answer[1]:
            arrived.set()
            await go_on.wait()
        return answer

    async def noted_settle(*arguments: Any) -> list[bool]:
        answers.append(await settle(*arguments))
        return answers[-1]

    monkeypatch.setattr(line.deliveries, "claim", slow_claim)
    monkeypatch.setattr(line.deliveries, "settle", noted_settle)
    claiming = asyncio.create_task(line.claim_once())
    await arrived.wait()
    settling = asyncio.create_task(line.settler.run_once())
    await eventually(lambda: answers == [[False]], what="it was refused")
    assert len(worker.runner.held) == 1
    go_on.set()
    assert await claiming == 1
    await settling

    await _settle(worker, 1)
    assert (worker.runner.counts["finished"], worker.runner.counts["fenced"], len(worker.runner.held)) == (1, 0, 0)
    assert work.started == Counter([delivery.record.id])
    assert await flow.pending() == {}


async def test_a_lost_lease_that_comes_back_is_renewed_again(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """Lost to a worker that then died, and claimed back while the handler still runs: it is held like any other."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    await flow.steal()
    assert await line.renew_once() == 1
    await flow.age()

    assert await line.claim_once() == 1
    await flow.age(1_500)
    assert await line.renew_once() == 0

    assert delivery.lost is False
    assert max(await flow.idle()) < 1_500
    work.go.set()
    await _settle(worker, 1)
    assert (worker.runner.counts["finished"], worker.runner.counts["fenced"]) == (1, 0)
    assert work.started == Counter([delivery.record.id])


async def test_a_worker_never_starts_an_id_that_it_still_holds(make_worker: MakeWorker, flow: Flow, work: Held) -> None:
    """The message comes in another entry while its lost delivery still runs here: it is put back until that has ended."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    stranger = (await make_worker("stranger"))._lines[0].deliveries
    await flow.steal()
    await stranger.hand_back(await stranger.pending())

    assert await line.reader.run_once() == 1

    assert worker.runner.held.all() == [delivery]
    await line.settler.run_once()
    view = await flow.view(delivery.record.id)
    assert (view.status, view.attempts, worker.runner.counts["put back"]) == ("scheduled", 0, 1)
    work.go.set()
    await _settle(worker, 1)
    assert (worker.runner.counts["fenced"], len(worker.runner.held)) == (1, 0)
    await deliver_now(flow.store, delivery.record.id)
    await flow.forward()
    assert await line.reader.run_once() == 1
    await _settle(worker, 1)
    assert work.started == {delivery.record.id: 2}
    assert (await flow.view(delivery.record.id)).status == "delivered"


async def test_a_retry_that_is_sooner_than_the_answer_to_its_settlement_waits_for_milliseconds(
    make_worker: MakeWorker, flow: Flow, work: Held
) -> None:
    """Redis has let go of what ended here before this worker has heard of it: the next delivery may be here already."""
    worker, line, (delivery,) = await _running(make_worker, flow, work)
    work.go.set()
    await eventually(lambda: line.settler.backlog == 1)
    settlement = line.settler._waiting.popleft()
    stranger = (await make_worker("stranger"))._lines[0].deliveries
    await flow.steal()
    await stranger.hand_back(await stranger.pending())

    assert await line.reader.run_once() == 1
    await line.settler.run_once()
    view = await flow.view(delivery.record.id)

    assert (view.status, view.attempts, worker.runner.counts["put back"]) == ("scheduled", 0, 1)
    assert view.due_ms is not None
    assert view.due_ms - line.partition.clock.now_ms() < line._settings.lease_ms / 10
    line.settler.report(settlement)
    await _settle(worker, 1)
    assert await eventually(flow.forward) == 1
    assert await line.reader.run_once() == 1
    await _settle(worker, 1)
    assert work.started == {delivery.record.id: 2}


# --- giving back ------------------------------------------------------------------------------------------------------


@pytest.mark.leaves("stream", "index")
async def test_what_a_lost_answer_brought_is_handed_back_and_what_is_held_stays(make_worker: MakeWorker, flow: Flow) -> None:
    """Pending and not held: ready for any worker again, with id, due time and attempts unchanged. Held: untouched."""
    worker, line, held = await _waiting(make_worker, flow, 2)
    ids = await flow.ready(3)
    before = {message_id: replace(await flow.view(message_id), dispatched_ms=None) for message_id in ids}
    await line.deliveries.read({"alpha": 10})  # with this worker's name, and its answer lost
    assert await flow.statuses(ids) == {"running"}

    await line.hand_back_unknown()

    after = {message_id: replace(await flow.view(message_id), dispatched_ms=None) for message_id in ids}
    assert after == before
    assert await flow.pending() == {one.lease.entry_id: ("worker-1", 1) for one in held}
    assert worker.runner.held.all() == held
    assert await line.renew_once() == 0


@pytest.mark.leaves("stream", "index")
async def test_what_another_consumer_holds_is_not_handed_back(make_worker: MakeWorker, flow: Flow) -> None:
    """Only this worker's own pending entries are looked at."""
    worker, other = await make_worker(), await make_worker("worker-2")
    await flow.ready(3)
    await other._lines[0].deliveries.read({"alpha": 3})
    before = await flow.pending()

    await worker._lines[0].hand_back_unknown()

    assert await flow.pending() == before
    assert len(before) == 3


@pytest.mark.leaves("stream", "index")
async def test_a_lost_claim_costs_no_attempt(make_worker: MakeWorker, flow: Flow) -> None:
    """What was claimed by an answer that never came is handed back as it was, and counts as no loss of a started one."""
    worker = await make_worker()
    line = worker._lines[0]
    (message_id,) = await _left_behind(make_worker, flow, 1)
    await line.deliveries.claim(flow.keys.stream("alpha"), "-", 1, 1, 10, 1)
    assert list((await flow.pending()).values()) == [("worker-1", 2)]

    await line.hand_back_unknown()

    view = await flow.view(message_id)
    assert (view.status, view.attempts) == ("ready", 0)


async def test_a_claim_that_gets_no_answer_makes_the_reader_look(own: Own) -> None:
    """An outage during a claim is an answer that may be lost: what is pending is compared before the next read."""
    worker = await own.make_worker()
    line = worker._lines[0]
    assert line.reader.answer_lost is False

    own.server.kill()
    with pytest.raises(Outage):
        await line.claim_once()

    assert line.reader.answer_lost is True


async def test_handing_back_waits_for_a_claim_under_way(make_worker: MakeWorker, flow: Flow) -> None:
    """What a claim is bringing is not taken for lost: it is held when the comparison is made."""
    worker = await make_worker()
    line = worker._lines[0]
    ids = await _left_behind(make_worker, flow, 2)

    await asyncio.gather(line.claim_once(), line.hand_back_unknown())

    assert {delivery.record.id for delivery in worker.runner.held.all()} == set(ids)
    assert set((await flow.pending()).values()) == {("worker-1", 2)}
    worker.runner.pools.start()
    await _settle(worker, 2)


@pytest.mark.leaves("stream", "index")
async def test_leaving_hands_back_and_removes_the_consumer(make_worker: MakeWorker, flow: Flow) -> None:
    """Nothing stays pending for a consumer that leaves, and the group forgets it; others stay."""
    worker, line, held = await _waiting(make_worker, flow, 2)
    other = await make_worker("worker-2")
    await flow.ready(1)
    await other._lines[0].deliveries.read({"alpha": 1})
    for delivery in worker.runner.pools.remove(lambda _: True):
        worker.runner._drop(delivery)
    assert await flow.consumers() == {"worker-1", "worker-2"}

    assert await line.leave() is True

    assert await flow.consumers() == {"worker-2"}
    assert await flow.statuses([one.record.id for one in held]) == {"ready"}
    assert list((await flow.pending()).values()) == [("worker-2", 1)]


@pytest.mark.leaves("stream", "index")
async def test_a_consumer_that_holds_something_does_not_leave(make_worker: MakeWorker, flow: Flow) -> None:
    """What still runs keeps its consumer in the group, so that others can claim it."""
    _, line, held = await _waiting(make_worker, flow, 1)

    assert await line.leave() is False

    assert await flow.consumers() == {"worker-1"}
    assert set(await flow.pending()) == {held[0].lease.entry_id}
