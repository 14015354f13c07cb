"""The worker as a whole: what it starts, what it refuses to start, when it reads, how it stops, what it tells."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from consumers.delivery import Delivery
from consumers.message import Message
from consumers.outcomes import Dead, Retry
from consumers.runner import TooManyAbandoned
from consumers.worker import Worker
from shared.ids import make_id
from shared.record import Options, RetryOptions, decode_record
from shared.settings import Settings
from shared.store.chunks import Draft
from shared.store.entries import Follow, Settlement
from shared.store.following import follow
from shared.store.messages import cancel
from tests.consumers.conftest import MakeWorker, Own
from tests.consumers.flow import Flow
from tests.consumers.making import make_handler
from tests.support.waiting import eventually


class Log:
    """What handlers were given, in the order of their starts."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.go = threading.Event()

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    def handle(self, message: Message) -> None:
        self.messages.append(message)

    def hold(self, message: Message) -> None:
        self.messages.append(message)
        self.go.wait(60)  # longer than any test waits for anything else

    async def handle_async(self, message: Message) -> None:
        self.messages.append(message)
        await asyncio.sleep(0)


@pytest.fixture
def log() -> Log:
    return Log()


def _one_more(delivery: Delivery, settlement: Settlement, ended_ms: int) -> tuple[Follow, ...]:
    """A message of another topic, whatever the end."""
    body = f"{settlement.outcome} {delivery.record.id}".encode()
    return (follow(Draft("beta", "text", body), delivery.partition, ended_ms),)


def _wrong(delivery: Delivery, settlement: Settlement, ended_ms: int) -> tuple[Follow, ...]:
    raise ValueError(f"{delivery} {settlement} {ended_ms}")


@asynccontextmanager
async def _at_work(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """The worker runs, and stops in order at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def _settled(flow: Flow, *ids: str) -> list[str]:
    """The outcomes of messages, when all are there."""
    final = {"delivered", "dead", "expired"}

    async def outcomes() -> list[str]:
        found = [(await flow.view(message_id)).status for message_id in ids]
        return found if set(found) <= final else []

    found: list[str] = await eventually(outcomes, what="all are settled")
    return found


# --- what is started --------------------------------------------------------------------------------------------------


async def test_threads_and_coroutines_are_run_side_by_side(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """One worker serves topics of both kinds, every message once, and tells what it did."""
    worker = await make_worker(alpha=make_handler(log.handle), beta=make_handler(log.handle_async))
    ids = await flow.ready(30, "alpha") + await flow.ready(30, "beta")

    async with _at_work(worker):
        outcomes = await _settled(flow, *ids)

    assert outcomes == ["delivered"] * 60
    assert sorted(log.ids) == sorted(ids)
    assert (worker.runner.counts["read"], worker.runner.counts["finished"]) == (60, 60)


@pytest.mark.leaves("dead")
async def test_each_outcome_has_its_effect(make_worker: MakeWorker, flow: Flow) -> None:
    """Raised once and then returned: retried. ``Retry``: again at once. ``Dead``: buried with its words."""

    def obey(message: Message) -> None:
        if message.text == "dead":
            raise Dead("as asked")
        if message.attempt == 1:
            raise Retry(0) if message.text == "retry" else ValueError("as asked")

    worker = await make_worker(alpha=make_handler(obey))
    options = Options(retry=RetryOptions(initial_ms=0))
    ids = [(await flow.ready(1, body=body, options=options))[0] for body in (b"fail", b"retry", b"dead")]

    async with _at_work(worker):
        await eventually(
            lambda: worker.runner.counts["retry"] == 2 and worker.runner.counts["dead"] == 1, what="each first attempt ended"
        )
        assert await flow.forward() == 2
        outcomes = await _settled(flow, *ids)

    views = [await flow.view(message_id) for message_id in ids]
    assert outcomes == ["delivered", "delivered", "dead"]
    assert [view.attempts for view in views] == [2, 2, 1]
    assert views[2].reason == "as asked"


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.leaves("dead")
@pytest.mark.parametrize(
    "error",
    [SystemExit(1), KeyboardInterrupt(), _Unspeakable(), ValueError("\ud800"), Dead("\ud800"), asyncio.CancelledError()],
    ids=repr,
)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_whatever_is_raised_ends_its_own_delivery_only(
    make_worker: MakeWorker, flow: Flow, error: BaseException, asynchronous: bool
) -> None:
    """The worst exceptions are settled, logged and shown like any other, and the next message is delivered."""

    def fail(message: Message) -> None:
        if message.text == "bad":
            raise error

    async def async_fail(message: Message) -> None:
        fail(message)

    worker = await make_worker(alpha=make_handler(async_fail if asynchronous else fail))
    (bad,) = await flow.ready(1, body=b"bad", options=Options(retry=RetryOptions(max_attempts=1)))
    good = await flow.ready(8)

    async with _at_work(worker) as task:
        outcomes = await _settled(flow, bad, *good)
        assert not task.done()

    assert outcomes == ["dead", *["delivered"] * 8]
    assert len((await flow.view(bad)).errors) == 1


async def test_a_stale_lease_is_not_started(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """A delivery that waited while this process was frozen is dropped, not run; whoever claims it delivers it once."""
    frozen = await make_worker(alpha=make_handler(log.handle))
    (message_id,) = await flow.ready(1)
    line = frozen._lines[0]
    await line.reader.run_once()
    (delivery,) = frozen.runner.held.all()
    delivery.confirmed_s -= frozen.runner._fresh_s  # as long ago as a process that was frozen meanwhile would find

    frozen.runner.pools.start()

    await eventually(lambda: frozen.runner.counts["stale"] == 1 and len(frozen.runner.held) == 0, what="it is dropped")
    assert (log.messages, frozen.runner.pools.capacities["alpha"].held) == ([], 0)
    assert (await flow.view(message_id)).status == "running"
    await flow.age()
    async with _at_work(await make_worker("worker-2", alpha=make_handler(log.handle))):
        assert await _settled(flow, message_id) == ["delivered"]
    assert log.ids == [message_id]


async def test_a_lease_that_is_just_fresh_enough_is_started(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """Within the lease less its margin a delivery that waited is run."""
    worker = await make_worker(alpha=make_handler(log.handle))
    ids = await flow.ready(1)
    line = worker._lines[0]
    await line.reader.run_once()
    (delivery,) = worker.runner.held.all()
    delivery.confirmed_s -= worker.runner._fresh_s / 2

    worker.runner.pools.start()

    await eventually(lambda: line.settler.backlog == 1)
    await line.settler.run_once()
    assert (log.ids, worker.runner.counts["stale"]) == (ids, 0)


async def test_an_expired_message_is_not_started(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """Past its expiry a message ends as expired, without an attempt; one that expires later is delivered."""
    now_ms = flow.store.partitions[0].clock.now_ms()
    (expired,) = await flow.ready(1, options=Options(expires_ms=now_ms))
    (alive,) = await flow.ready(1, options=Options(expires_ms=now_ms + 60_000))

    async with _at_work(await make_worker(alpha=make_handler(log.handle))):
        outcomes = await _settled(flow, expired, alive)

    assert outcomes == ["expired", "delivered"]
    assert log.ids == [alive]
    assert (await flow.view(expired)).attempts == 0


async def test_a_message_that_expires_while_it_waits_for_a_slot_is_not_started(
    make_worker: MakeWorker, flow: Flow, log: Log
) -> None:
    """It was read in time and its turn came too late: it ends as expired, without an attempt, and its room is free again."""
    clock = flow.store.partitions[0].clock
    worker = await make_worker(alpha=make_handler(log.handle))
    expires_ms = clock.now_ms() + 300
    (message_id,) = await flow.ready(1, options=Options(expires_ms=expires_ms))
    line = worker._lines[0]
    await line.reader.run_once()
    assert (len(worker.runner.held), line.settler.backlog) == (1, 0)
    await eventually(lambda: clock.now_ms() >= expires_ms)

    worker.runner.pools.start()

    await eventually(lambda: line.settler.backlog == 1)
    await line.settler.run_once()
    assert (log.ids, await _settled(flow, message_id)) == ([], ["expired"])
    assert (len(worker.runner.held), worker.runner.pools.held) == (0, 0)


@pytest.mark.leaves("dead")
async def test_an_unreadable_entry_is_buried_and_holds_nobody_up(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """An entry that is no record goes to the dead letters as it is; its neighbours are delivered."""
    rubbish = [b"", b"rubbish", b"rubbish v1 x text\nhello", b"\xff\xfe v1\n", b"rubbish-2 v1 1 text {broken\nhello"]
    for record in rubbish:
        await flow.add(record)
    ids = await flow.ready(3)
    worker = await make_worker(alpha=make_handler(log.handle))

    async with _at_work(worker):
        await _settled(flow, *ids)
        await eventually(lambda: worker.runner.counts["dead"] == len(rubbish))

    letters = await flow.redis.hgetall(flow.keys.dead_records)
    assert sorted(log.ids) == sorted(ids)
    assert all(b'"reason":"its record cannot be read"' in letter for letter in letters.values())
    assert letters[b"rubbish-2"].endswith(rubbish[-1])
    assert await flow.length() == 0


async def test_a_newer_record_waits_for_a_newer_worker(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """A record of a format this release does not know is put back for some seconds, with its attempts unchanged."""
    now_ms = flow.store.partitions[0].clock.now_ms()
    message_id = make_id("alpha", 0, now_ms, 7)
    await flow.add(f"{message_id} v3 {now_ms} text\nhello".encode(), attempts=2, deferrals=3, due=now_ms)
    worker = await make_worker(alpha=make_handler(log.handle))

    async with _at_work(worker):
        await eventually(lambda: worker.runner.counts["retry"] == 1, what="it is put back")

    view = await flow.view(message_id)
    assert (view.status, view.attempts, view.errors) == ("retrying", 2, ())
    assert now_ms + 4_000 < view.due_ms < now_ms + 15_000
    assert (await flow.redis.hget(flow.keys.index, message_id)).endswith(b" 2 3")
    assert log.messages == []
    await cancel(flow.store, message_id)


@pytest.mark.leaves("dead")
async def test_a_message_whose_workers_were_lost_too_often_is_buried(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """When lost deliveries have used up the attempts, the message is not started again."""
    (message_id,) = await flow.ready(1, options=Options(retry=RetryOptions(max_attempts=2)))
    dead = await make_worker("dead-worker")
    await dead._lines[0].deliveries.read({"alpha": 1})
    for _ in range(2):
        await flow.steal("dead-worker")
    assert list((await flow.pending()).values()) == [("dead-worker", 3)]
    await flow.age()

    async with _at_work(await make_worker(alpha=make_handler(log.handle))):
        assert await _settled(flow, message_id) == ["dead"]

    assert (await flow.view(message_id)).reason == "its worker was lost 3 times while it ran"
    assert log.messages == []


# --- when it reads ----------------------------------------------------------------------------------------------------


@pytest.mark.leaves("stream", "index")
async def test_a_backlog_of_settlements_stops_reading(
    make_worker: MakeWorker, flow: Flow, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too many ended deliveries that wait to be settled, nothing new is asked for until they are."""
    monkeypatch.setattr("consumers.runner.MAX_BACKLOG", 2)
    worker = await make_worker(alpha=make_handler(log.handle))
    await flow.ready(20)
    worker.runner.pools.start()
    line = worker._lines[0]
    assert await line.reader.run_once() == 4
    await eventually(
        lambda: line.settler.backlog == 4 and worker.runner.pools.capacities["alpha"].held == 0, what="all four ended"
    )
    assert worker.runner.plan() == {}
    waiting = asyncio.create_task(line.reader.run_once())
    await asyncio.sleep(0)
    assert not waiting.done()

    await line.settler.run_once()

    assert await asyncio.wait_for(waiting, 0.5) == 0  # and not when its own wait ends
    assert worker.runner.plan() != {}


@pytest.mark.leaves("stream", "index")
async def test_a_worker_that_stops_asks_for_nothing(make_worker: MakeWorker, flow: Flow) -> None:
    """Neither reads nor claims are planned once stopping has begun."""
    worker = await make_worker()
    assert worker.runner.plan() != {}
    assert worker.runner.free("alpha") == 4

    worker.runner.stopping = True

    assert worker.runner.plan() == {}
    assert worker.runner.free("alpha") == 0


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.leaves("stream", "index")
async def test_stopping_finishes_what_runs_and_hands_back_what_was_not_started(
    make_worker: MakeWorker, flow: Flow, log: Log
) -> None:
    """What runs is settled; what waited is ready for others at once, attempts unchanged; the consumer leaves the group."""
    worker = await make_worker(alpha=make_handler(log.hold))
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    ids = await flow.ready(4)
    await eventually(lambda: len(log.messages) == 4, what="all slots run")
    waiting = await flow.ready(3)
    worker.runner.receive(worker._lines[0], await worker._lines[0].deliveries.read({"alpha": 3}))
    before = [await flow.view(message_id) for message_id in waiting]
    assert {view.status for view in before} == {"running"}

    stop.set()

    await eventually(lambda: _are_ready(flow, waiting), what="what waited is handed back while the others still run")
    assert not task.done()
    log.go.set()
    await asyncio.wait_for(task, 10)
    assert await flow.statuses(ids) == {"delivered"}
    assert await flow.statuses(waiting) == {"ready"}
    after = [await flow.view(message_id) for message_id in waiting]
    assert [(one.attempts, one.due_ms, one.stored) for one in after] == [(one.attempts, one.due_ms, one.stored) for one in before]
    assert sorted(log.ids) == sorted(ids)
    assert (await flow.pending(), await flow.consumers()) == ({}, set())


async def _are_ready(flow: Flow, ids: list[str]) -> bool:
    return await flow.statuses(ids) == {"ready"}


async def test_what_runs_past_the_grace_time_is_left_to_others(
    make_worker: MakeWorker, flow: Flow, log: Log, settings: Settings
) -> None:
    """A handler that does not end in time keeps its consumer in the group, so that its message can be claimed."""
    worker = await make_worker(alpha=make_handler(log.hold))
    worker._settings = msgspec.structs.replace(settings, consumers=msgspec.structs.replace(settings.consumers, grace_ms=10))
    ids = await flow.ready(1)
    async with _at_work(worker):
        await eventually(lambda: log.ids == ids)

    assert await flow.consumers() == {"worker-1"}
    assert list((await flow.pending()).values()) == [("worker-1", 1)]
    log.messages.clear()
    log.go.set()
    await flow.age()
    async with _at_work(await make_worker("worker-2", alpha=make_handler(log.handle))):
        assert await _settled(flow, *ids) == ["delivered"]
    assert log.ids == ids


async def test_stopping_before_the_start_is_possible(make_worker: MakeWorker, flow: Flow) -> None:
    """A worker told to stop at once does, and leaves no thread behind."""
    worker = await make_worker()
    before = set(threading.enumerate())
    stop = asyncio.Event()
    stop.set()

    await asyncio.wait_for(worker.run(stop), 5)

    await eventually(lambda: set(threading.enumerate()) <= before, what="its threads ended")


async def test_a_worker_without_redis_stops_in_time(own: Own) -> None:
    """With Redis gone stopping gives up what it cannot do, instead of hanging."""
    worker = await own.make_worker()
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    first_s = worker._lines[0].reader.answered_s
    ids = await own.flow.ready(1)
    assert await _settled(own.flow, *ids) == ["delivered"]
    assert worker._lines[0].reader.answered_s > first_s
    own.server.kill()

    stop.set()

    await asyncio.wait_for(task, 6)


@pytest.mark.leaves("stream", "index", "due", "errors")
async def test_too_many_abandoned_handlers_end_the_worker(
    make_worker: MakeWorker, flow: Flow, log: Log, settings: Settings
) -> None:
    """Past ``MaxAbandonedThreads`` the worker leaves by itself; the hung deliveries were failed attempts at their deadline."""
    worker = await make_worker(alpha=make_handler(log.hold))
    consumers = msgspec.structs.replace(settings.consumers, max_abandoned_threads=1, grace_ms=10)
    worker._settings = msgspec.structs.replace(settings, consumers=consumers)
    worker.runner._settings = consumers
    ids = await flow.ready(2, options=Options(deadline_ms=20, retry=RetryOptions(initial_ms=3_600_000, max_ms=3_600_000)))

    with pytest.raises(TooManyAbandoned, match="2 handlers are stuck"):
        await asyncio.wait_for(worker.run(asyncio.Event()), 10)

    views = [await flow.view(message_id) for message_id in ids]
    assert {(view.status, view.attempts) for view in views} == {("retrying", 1)}
    assert "deadline of 20 ms" in views[0].errors[0].error
    log.go.set()
    await eventually(lambda: worker.runner.pools.abandoned == 0, what="the threads came back")


@pytest.mark.leaves("stream:alpha:normal")
async def test_a_programmers_error_ends_the_worker(make_worker: MakeWorker, flow: Flow) -> None:
    """An error that is no outage ends ``run`` with that error."""
    worker = await make_worker(alpha=make_handler())
    await flow.redis.set(flow.keys.stream("alpha"), "no stream")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await asyncio.wait_for(worker.run(asyncio.Event()), 10)


# --- health -----------------------------------------------------------------------------------------------------------


async def test_a_worker_is_ready_while_redis_answers(make_worker: MakeWorker) -> None:
    """Fresh answers: ready, nothing to complain about, and who it is."""
    worker = await make_worker()

    ready, details = await worker.health()

    assert (ready, details["reasons"], details["consumer"], details["held"]) == (True, [], "worker-1", 0)


async def test_silence_makes_it_unready_and_an_answer_ready_again(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer for too long the reason names the outage; when Redis is back it goes green by itself."""
    monkeypatch.setattr("consumers.worker.UNREADY_AFTER_S", 0.2)
    monkeypatch.setattr("consumers.reader.WAIT_MS", 20)
    worker = await own.make_worker()

    async def is_ready() -> bool:
        return (await worker.health())[0]

    async def is_not_ready() -> bool:
        return not await is_ready()

    async with _at_work(worker):
        first_s = worker._lines[0].reader.answered_s
        await eventually(lambda: worker._lines[0].reader.answered_s > first_s, what="it reads")
        assert await is_ready()
        own.server.kill()
        await eventually(is_not_ready, what="it turns unready")
        _, details = await worker.health()
        assert "no answer from Redis for 0." in details["reasons"][0]
        assert " s: connection" in details["reasons"][0]
        own.server.start()
        await eventually(is_ready, what="it turns ready again")


async def test_a_worker_with_no_slot_free_turns_unready_in_an_outage(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for nothing to run then, and finds out all the same."""
    monkeypatch.setattr("consumers.worker.UNREADY_AFTER_S", 0.2)
    monkeypatch.setattr("consumers.line.UPKEEP_S", 0.02)
    monkeypatch.setattr("consumers.reader.WAIT_MS", 20)
    log = Log()
    worker = await own.make_worker(alpha=make_handler(log.hold))
    await own.flow.ready(10)

    async def is_ready() -> bool:
        return (await worker.health())[0]

    async def is_not_ready() -> bool:
        return not await is_ready()

    async with _at_work(worker):
        await eventually(lambda: len(log.messages) == 4, what="all slots run")
        first_s = worker._lines[0].reader.answered_s
        await eventually(lambda: worker._lines[0].reader.answered_s > first_s + 0.2, what="it stays ready without reading")
        assert await is_ready()
        own.server.kill()
        await eventually(is_not_ready, what="it turns unready")
        own.server.start()
        await eventually(is_ready, what="it turns ready again")
        log.go.set()


async def test_a_worker_that_stops_is_not_ready(make_worker: MakeWorker) -> None:
    """Whoever asks is told that it is stopping."""
    worker = await make_worker()
    worker.runner.stopping = True

    ready, details = await worker.health()

    assert (ready, details["reasons"]) == (False, ["stopping"])


async def _acl(own: Own, rule: str) -> None:
    await own.redis.execute_command("ACL", "SETUSER", "default", rule)  # type: ignore[no-untyped-call] # the library leaves it untyped


@pytest.mark.parametrize(("refused", "reason"), [("-xreadgroup", "no answer from Redis"), ("-xack", "settle does not work")])
async def test_what_is_refused_for_long_makes_it_unready_though_redis_answers_the_rest(
    own: Own, monkeypatch: pytest.MonkeyPatch, refused: str, reason: str
) -> None:
    """A worker that can ask the time but not read, or not settle, delivers nothing: it says so, and why."""
    monkeypatch.setattr("consumers.worker.UNREADY_AFTER_S", 0.2)
    monkeypatch.setattr("consumers.line.UPKEEP_S", 0.02)
    monkeypatch.setattr("consumers.reader.WAIT_MS", 20)
    worker = await own.make_worker()

    async def is_ready() -> bool:
        return (await worker.health())[0]

    async def is_not_ready() -> bool:
        return not await is_ready()

    async with _at_work(worker):
        await eventually(is_ready)
        await _acl(own, refused)
        await own.flow.ready(1)
        await eventually(is_not_ready, what="it turns unready")
        _, details = await worker.health()
        assert reason in details["reasons"][0]
        assert "noauth" in details["reasons"][0]
        await _acl(own, "+@all")
        await eventually(is_ready, what="it turns ready again")


@pytest.mark.leaves("due:beta")
async def test_the_end_of_a_delivery_makes_what_its_topic_wants(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """With the settlement itself, so it is there when that is."""
    worker = await make_worker(alpha=replace(make_handler(log.handle), follows=_one_more))
    (message_id,) = await flow.ready(1)

    async with _at_work(worker):
        assert await _settled(flow, message_id) == ["delivered"]

    ((record, _),) = await flow.redis.zrange(flow.keys.due("beta"), 0, -1, withscores=True)
    assert decode_record(record).body == f"finished {message_id}".encode()


async def test_what_cannot_be_made_keeps_no_delivery_from_its_end(make_worker: MakeWorker, flow: Flow, log: Log) -> None:
    """It is logged; the message is delivered all the same, once."""
    worker = await make_worker(alpha=replace(make_handler(log.handle), follows=_wrong))
    ids = await flow.ready(2)

    async with _at_work(worker):
        assert await _settled(flow, *ids) == ["delivered"] * 2

    assert sorted(log.ids) == sorted(ids)
