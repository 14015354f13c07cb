"""Pools run whatever handlers do: they return, raise, hang, block and swallow, and the next delivery still gets its turn."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from consumers import pool as pool_module
from consumers.delivery import Delivery
from consumers.message import Message
from consumers.pool import AsyncPool, Pool, ThreadPool
from tests.consumers.making import make_delivery
from tests.support.waiting import eventually


class Ends:
    """What the pool reported. Each delivery is ended once, as the worker does."""

    def __init__(self) -> None:
        self.counted: list[tuple[Delivery, BaseException | None]] = []
        self.late: list[Delivery] = []
        self.refused: set[str] = set()
        self.asked: list[Delivery] = []

    def ended(self, delivery: Delivery, error: BaseException | None) -> bool:
        if not delivery.end():
            self.late.append(delivery)
            return False
        self.counted.append((delivery, error))
        return True

    def may_start(self, delivery: Delivery) -> bool:
        self.asked.append(delivery)
        return delivery.record.id not in self.refused

    def of(self, delivery: Delivery) -> BaseException | None:
        return next(error for one, error in self.counted if one is delivery)

    def has(self, *deliveries: Delivery) -> bool:
        return all(any(one is delivery for one, _ in self.counted) for delivery in deliveries)


def make_threads(limit: int, ends: Ends) -> ThreadPool:
    """A pool of threads whose handlers are thought slow, but for those of the topic ``quick``."""
    return ThreadPool(limit, ends.ended, ends.may_start, lambda topic: topic == "quick")


MakePool = Callable[[type[ThreadPool | AsyncPool], int], Pool]


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
async def make_pool(ends: Ends) -> AsyncIterator[MakePool]:
    """Makes started pools that are stopped after the test."""
    made: list[Pool] = []

    def make(kind: type[ThreadPool | AsyncPool], limit: int) -> Pool:
        pool = AsyncPool(limit, ends.ended, ends.may_start) if kind is AsyncPool else make_threads(limit, ends)
        pool.start()
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.stop()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


RAISED = [
    ValueError("plain"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    Unspeakable(),
    ValueError("\ud800 half a character"),
]
names = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


async def test_threads_run_handlers_and_report_their_end(make_pool: MakePool, ends: Ends) -> None:
    """A ``def`` handler gets its message in a thread of the pool, and its return is reported."""
    seen: list[tuple[Message, str]] = []
    pool = make_pool(ThreadPool, 2)
    delivery = make_delivery(lambda message: seen.append((message, threading.current_thread().name)), body=b"hi", attempts=2)

    pool.put(delivery)

    await eventually(lambda: ends.has(delivery))
    ((message, thread),) = seen
    assert (message.id, message.text, message.attempt) == (delivery.record.id, "hi", 3)
    assert thread.startswith("handler-")
    assert ends.of(delivery) is None


async def test_threads_run_as_many_at_once_as_there_are_slots(make_pool: MakePool, ends: Ends) -> None:
    """Two slots run two handlers side by side, and the third when one has ended."""
    pool, both, go = make_pool(ThreadPool, 2), threading.Barrier(3), threading.Event()
    started: list[str] = []

    def meet(message: Message) -> None:
        started.append(message.id)
        both.wait(10)
        go.wait(10)

    first, second = make_delivery(meet), make_delivery(meet)
    for one in (first, second):
        pool.put(one)
    await asyncio.to_thread(both.wait, 10)
    third = make_delivery()
    pool.put(third)
    assert ends.counted == []

    go.set()

    await eventually(lambda: ends.has(first, second, third))
    assert sorted(started) == sorted([first.record.id, second.record.id])


@names
async def test_whatever_a_thread_handler_raises_ends_only_its_delivery(
    make_pool: MakePool, ends: Ends, error: BaseException
) -> None:
    """The pool's only thread survives any exception, reports it, and runs the next delivery."""

    def fail(_: Message) -> None:
        raise error

    pool = make_pool(ThreadPool, 1)
    failing, after = make_delivery(fail), make_delivery()

    pool.put(failing)
    pool.put(after)

    await eventually(lambda: ends.has(failing, after))
    assert ends.of(failing) is error
    assert ends.of(after) is None
    assert pool.abandoned == 0


@names
async def test_whatever_an_async_handler_raises_ends_only_its_delivery(
    make_pool: MakePool, ends: Ends, error: BaseException
) -> None:
    """The same for the loop of ``async def`` handlers."""

    async def fail(_: Message) -> None:
        raise error

    pool = make_pool(AsyncPool, 1)
    failing, after = make_delivery(fail), make_delivery(_nothing)

    pool.put(failing)
    pool.put(after)

    await eventually(lambda: ends.has(failing, after))
    assert ends.of(failing) is error
    assert ends.of(after) is None


async def _nothing(_: Message) -> None:
    """An async handler that succeeds."""


async def test_a_def_that_gives_a_coroutine_is_not_delivered(make_pool: MakePool, ends: Ends) -> None:
    """A decorator that hides an ``async def`` behind a ``def`` fails plainly: nothing of the handler has run."""
    ran: list[Message] = []

    async def hidden(message: Message) -> None:
        ran.append(message)

    pool = make_pool(ThreadPool, 1)
    delivery = make_delivery(lambda message: hidden(message))  # noqa: PLW0108 - it stands for a careless decorator

    pool.put(delivery)

    await eventually(lambda: ends.has(delivery))
    assert isinstance(ends.of(delivery), TypeError)
    assert ran == []


async def test_a_def_that_gives_a_generator_is_not_delivered(make_pool: MakePool, ends: Ends) -> None:
    """A decorator that hides a ``yield`` fails plainly: nothing of the handler has run."""
    ran: list[Message] = []

    def hidden(message: Message) -> Iterator[None]:
        ran.append(message)
        yield

    pool = make_pool(ThreadPool, 1)
    delivery = make_delivery(lambda message: hidden(message))  # noqa: PLW0108 - it stands for a careless decorator

    pool.put(delivery)

    await eventually(lambda: ends.has(delivery))
    assert "generator" in str(ends.of(delivery))
    assert ran == []


@pytest.mark.parametrize("kind", [ThreadPool, AsyncPool])
async def test_what_may_not_start_is_dropped(make_pool: MakePool, ends: Ends, kind: type[ThreadPool | AsyncPool]) -> None:
    """A delivery whose lease is not surely held is never started nor reported, and takes no slot."""
    started: list[str] = []

    def work(message: Message) -> None:
        started.append(message.id)

    async def async_work(message: Message) -> None:
        started.append(message.id)

    function = work if kind is ThreadPool else async_work
    pool = make_pool(kind, 1)
    stale, fresh = make_delivery(function), make_delivery(function)
    ends.refused.add(stale.record.id)

    pool.put(stale)
    pool.put(fresh)

    await eventually(lambda: ends.has(fresh))
    assert ends.asked == [stale, fresh]
    assert started == [fresh.record.id]
    assert not ends.has(stale)


async def test_an_abandoned_thread_is_replaced_and_its_late_result_ignored(make_pool: MakePool, ends: Ends) -> None:
    """A hung thread counts while it hangs; another runs the next delivery; when it comes back it ends and counts no more."""
    pool, release, hangs = make_pool(ThreadPool, 1), threading.Event(), threading.Event()
    thread: list[threading.Thread] = []

    def hang(_: Message) -> None:
        thread.append(threading.current_thread())
        hangs.set()
        release.wait(60)

    hung, after = make_delivery(hang), make_delivery()
    pool.put(hung)
    await asyncio.to_thread(hangs.wait, 10)
    pool.put(after)
    assert (pool.abandoned, ends.counted) == (0, [])

    assert hung.end()  # as the worker does at the deadline
    pool.abandon(hung)

    assert pool.abandoned == 1
    await eventually(lambda: ends.has(after))
    release.set()
    await eventually(lambda: ends.late == [hung])
    await asyncio.to_thread(thread[0].join, 10)
    assert not thread[0].is_alive()
    assert pool.abandoned == 0
    assert not ends.has(hung)


async def test_a_pool_keeps_its_size_after_abandoned_threads_came_back(make_pool: MakePool, ends: Ends) -> None:
    """Neither a hung thread nor its return changes how many run at once."""
    pool, release, hangs = make_pool(ThreadPool, 1), threading.Event(), threading.Event()

    def hang(_: Message) -> None:
        hangs.set()
        release.wait(60)

    hung = make_delivery(hang)
    pool.put(hung)
    await asyncio.to_thread(hangs.wait, 10)
    assert hung.end()
    pool.abandon(hung)
    release.set()
    await eventually(lambda: pool.abandoned == 0 and ends.late)
    at_once, most = 0, 0
    lock = threading.Lock()

    def count(_: Message) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0)
        with lock:
            at_once -= 1

    counted = [make_delivery(count) for _ in range(50)]
    for one in counted:
        pool.put(one)

    await eventually(lambda: ends.has(*counted))
    assert most == 1


async def test_the_async_pool_runs_up_to_its_limit(make_pool: MakePool, ends: Ends) -> None:
    """Three of five run side by side in one loop; the others as soon as places are free."""
    pool = make_pool(AsyncPool, 3)
    started: list[str] = []
    go = threading.Event()
    loops = set()

    async def wait(message: Message) -> None:
        loops.add(asyncio.get_running_loop())
        started.append(message.id)
        await asyncio.to_thread(go.wait, 10)

    deliveries = [make_delivery(wait) for _ in range(5)]
    for one in deliveries:
        pool.put(one)
    await eventually(lambda: len(started) == 3)
    assert ends.counted == []

    go.set()

    await eventually(lambda: ends.has(*deliveries))
    assert started == [one.record.id for one in deliveries]
    assert len(loops) == 1
    assert loops != {asyncio.get_running_loop()}


async def test_an_abandoned_coroutine_is_cancelled(make_pool: MakePool, ends: Ends) -> None:
    """At its deadline an async handler is cancelled where it waits; its end is late, its place is free."""
    pool = make_pool(AsyncPool, 1)
    cancelled = threading.Event()
    starts = threading.Event()

    async def hang(_: Message) -> None:
        starts.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    hung, after = make_delivery(hang), make_delivery(_nothing)
    pool.put(hung)
    await asyncio.to_thread(starts.wait, 10)
    pool.put(after)

    assert hung.end()
    pool.abandon(hung)

    await eventually(lambda: ends.has(after))
    assert cancelled.is_set()
    assert ends.late == [hung]
    assert pool.abandoned == 0


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "CANCEL_S", 0.02)


@pytest.mark.usefixtures("_impatient")
async def test_a_handler_that_swallows_its_cancellation_gives_up_its_place(make_pool: MakePool, ends: Ends) -> None:
    """It counts as abandoned until it ends, and meanwhile another runs in the pool's only place."""
    pool = make_pool(AsyncPool, 1)
    go, starts = threading.Event(), threading.Event()

    async def swallow(_: Message) -> None:
        starts.set()
        while not go.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue

    stubborn, after = make_delivery(swallow), make_delivery(_nothing)
    pool.put(stubborn)
    await asyncio.to_thread(starts.wait, 10)
    pool.put(after)

    assert stubborn.end()
    pool.abandon(stubborn)

    await eventually(lambda: pool.abandoned == 1)
    await eventually(lambda: ends.has(after))
    assert ends.late == []
    go.set()
    await eventually(lambda: pool.abandoned == 0, what="it came back")
    assert ends.late == [stubborn]


async def _has_looked_for_more(loop: asyncio.AbstractEventLoop) -> None:
    """A pool's loop takes the next delivery a turn after the end of one: waits until that turn is over."""

    async def turns() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(turns(), loop))


@pytest.mark.usefixtures("_impatient")
async def test_a_handler_that_blocks_its_loop_gets_the_loop_replaced(make_pool: MakePool, ends: Ends) -> None:
    """Others run in a fresh loop while one blocks; when it comes back it counts no more, and its loop starts nothing."""
    pool = make_pool(AsyncPool, 2)
    release, starts = threading.Event(), threading.Event()
    loops: dict[str, asyncio.AbstractEventLoop] = {}

    async def block(message: Message) -> None:
        loops[message.id] = asyncio.get_running_loop()
        starts.set()
        release.wait(60)

    async def note(message: Message) -> None:
        loops[message.id] = asyncio.get_running_loop()

    blocking, waiting = make_delivery(block), make_delivery(note)
    pool.put(blocking)
    await asyncio.to_thread(starts.wait, 10)
    pool.put(waiting)
    assert ends.counted == []

    assert blocking.end()
    pool.abandon(blocking)

    await eventually(lambda: ends.has(waiting))
    assert pool.abandoned == 1
    await _has_looked_for_more(loops[waiting.record.id])
    unnoticed = make_delivery(note)
    pool.intake.put(unnoticed)  # only whoever looks by itself finds it: the old loop must not
    release.set()
    await eventually(lambda: pool.abandoned == 0)
    assert not ends.has(unnoticed)
    after = [make_delivery(note) for _ in range(20)]
    for one in after:
        pool.put(one)
    await eventually(lambda: ends.has(unnoticed, *after))
    assert {loops[one.record.id] for one in (waiting, unnoticed, *after)} == {loops[waiting.record.id]}
    assert loops[blocking.record.id] is not loops[waiting.record.id]
    assert ends.late == [blocking]


async def test_a_failed_coroutine_leaves_nothing_to_the_garbage_collector(make_pool: MakePool, ends: Ends) -> None:
    """Its error, and with it the delivery and the body, are gone when its end was told."""

    class Failed(Exception):
        pass

    async def fail(_: Message) -> None:
        raise Failed

    pool = make_pool(AsyncPool, 1)
    gc.collect()
    gc.disable()
    try:
        delivery = make_delivery(fail)
        pool.put(delivery)
        await eventually(lambda: ends.has(delivery))
        error = weakref.ref(ends.of(delivery) or Failed())
        ends.counted.clear()

        await eventually(lambda: error() is None, what="the error is gone")
    finally:
        gc.enable()


async def test_a_stopped_pool_starts_nothing_and_its_threads_end(ends: Ends) -> None:
    """After stopping, what is put stays where it is, and the pool's threads are gone."""
    before = set(threading.enumerate())
    threads, coroutines = make_threads(3, ends), AsyncPool(3, ends.ended, ends.may_start)
    threads.start()
    coroutines.start()
    assert len(set(threading.enumerate()) - before) == 4

    threads.stop()
    coroutines.stop()
    threads.put(make_delivery())

    await eventually(lambda: set(threading.enumerate()) <= before, what="the threads ended")
    assert ends.asked == []


def test_making_a_pool_starts_nothing(ends: Ends) -> None:
    """Threads come with ``start``, so a worker that cannot open leaves none."""
    before = threading.active_count()

    make_threads(5, ends)
    AsyncPool(5, ends.ended, ends.may_start)

    assert threading.active_count() == before
