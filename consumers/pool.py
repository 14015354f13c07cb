"""Where handlers run: threads for ``def``, an event loop of its own for ``async def``. The only code that starts threads.

A pool knows nothing of Redis. It takes deliveries from its intake, runs the handler, and reports the end.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from consumers.bell import Bell
from consumers.delivery import Delivery
from consumers.intake import Intake
from shared.logs import logger

Ended = Callable[[Delivery, BaseException | None], bool]
"""Called in the pool's thread when a handler has returned (``None``) or raised. False: its deadline had ended it before."""
MayStart = Callable[[Delivery], bool]
"""Says, at the last moment, whether the lease is surely held."""
Close = Callable[[], Awaitable[None]]
HURRY_S = 0.002
"""How long what waits may stand still before more threads are woken for it."""
CANCEL_S = 1.0
"""How long a cancelled coroutine may take to end before it counts as abandoned."""


class ThreadPool:
    """``limit`` threads that run ``def`` handlers."""

    def __init__(self, limit: int, ended: Ended, may_start: MayStart, is_quick: Callable[[str], bool]) -> None:
        self.limit = limit
        self.intake = Intake(is_quick)
        self._look: asyncio.TimerHandle | None = None
        self.abandoned = 0
        """Threads left behind with a handler that ran past its deadline."""
        self._ended, self._may_start = ended, may_start
        self._numbers = 0
        self._counting = threading.Lock()

    def start(self) -> None:
        for _ in range(self.limit):
            self._start_thread()

    def stop(self) -> None:
        """Starts nothing more; threads end when their handler has."""
        self.intake.close()
        if self._look is not None:
            self._look.cancel()

    def put(self, delivery: Delivery, *, first: bool = False) -> None:
        self.intake.put(delivery, first=first)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(HURRY_S, self._hurry)

    def _hurry(self) -> None:
        waits = self.intake.hurry()
        self._look = asyncio.get_running_loop().call_later(HURRY_S, self._hurry) if waits else None

    def abandon(self, delivery: Delivery) -> None:
        """Leaves the thread of a delivery to itself and puts a new one in its place."""
        with self._counting:
            self.abandoned += 1
        _log_abandoned(delivery)
        self._start_thread()

    def _start_thread(self) -> None:
        self._numbers += 1
        threading.Thread(target=self._work, name=f"handler-{self._numbers}", daemon=True).start()

    def _work(self) -> None:
        delivery = None
        while (delivery := self.intake.take(delivery)) is not None:
            if not self._may_start(delivery):
                continue
            error: BaseException | None = None
            try:
                delivery.result = delivery.handler.function(delivery.start())
                _refuse_unrun(delivery.result)
            except BaseException as raised:  # noqa: BLE001 - whatever user code raises ends its delivery, not the thread
                error = raised
            if not self._ended(delivery, error):  # past its deadline: another thread has this one's place
                with self._counting:
                    self.abandoned -= 1
                return


def _refuse_unrun(answer: object) -> None:
    """A decorator that is no ``async def`` hides one, or a generator: nothing of the handler has run, so it is not delivered."""
    if inspect.iscoroutine(answer) or inspect.isgenerator(answer):
        answer.close()
        kind = (
            "coroutine: make it, or what decorates it, async def" if inspect.iscoroutine(answer) else "generator: return instead"
        )
        raise TypeError(f"the handler is a def that gave a {kind}")


class AsyncPool:
    """One event loop, apart from the process's own, that runs up to ``limit`` ``async def`` handlers.

    A handler that blocks its loop therefore delays its like, but no lease and no settlement.
    """

    def __init__(self, limit: int, ended: Ended, may_start: MayStart, close: Close | None = None) -> None:
        """``close``: called in its loop before that ends."""
        self.limit = limit
        self._close = close
        self.intake = Intake()
        self._filling: Bell | None = None
        self.abandoned = 0
        """Handlers left behind past their deadline: cancelled, and not ended."""
        self._ended, self._may_start = ended, may_start
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counting = threading.Lock()

    def start(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        self._filling = Bell(loop, self._fill)
        self._running = {}
        threading.Thread(target=_serve, args=(loop, self._close), name="async-handlers", daemon=True).start()

    def stop(self) -> None:
        """Starts nothing more; what runs is left where it is."""
        self.intake.close()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def put(self, delivery: Delivery, *, first: bool = False) -> None:
        self.intake.put(delivery, first=first)
        assert self._filling is not None  # noqa: S101 - started first
        self._filling.ring()

    def abandon(self, delivery: Delivery) -> None:
        """Cancels a handler; where it does not end, leaves it behind, and replaces the loop if it is blocked."""
        loop, task = self._loop, self._running.get(delivery)
        if loop is None or task is None:
            return
        answered = threading.Event()

        def cancel() -> None:
            task.cancel()
            answered.set()

        self._call(cancel)
        asyncio.get_running_loop().call_later(CANCEL_S, self._check, delivery, loop, task, answered)

    def _check(
        self, delivery: Delivery, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], answered: threading.Event
    ) -> None:
        if task.done() or loop.is_closed():
            return
        with self._counting:
            self.abandoned += 1
        _log_abandoned(delivery)
        if not answered.is_set() and loop is self._loop:
            logger.error("an async handler blocks its event loop; starting another loop")
            self.start()
            self._call(self._fill)
        loop.call_soon_threadsafe(self._leave_behind, delivery, task)  # a blocked loop does it when it comes back

    def _leave_behind(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        """In the handler's own loop: gives its slot to another, and counts it until it ends."""
        task.add_done_callback(self._came_back)
        if self._running.pop(delivery, None) is not None:
            self._fill()

    def _came_back(self, _: asyncio.Task[None]) -> None:
        with self._counting:
            self.abandoned -= 1

    def _call(self, work: Callable[[], object]) -> None:
        assert self._loop is not None  # noqa: S101 - started first
        self._loop.call_soon_threadsafe(work)

    def _fill(self) -> None:
        if asyncio.get_running_loop() is not self._loop:  # it was blocked, and replaced meanwhile
            return
        while len(self._running) < self.limit and (delivery := self.intake.take_now()) is not None:
            if not self._may_start(delivery):
                continue
            task = asyncio.ensure_future(self._run(delivery))
            running = self._running
            running[delivery] = task
            task.add_done_callback(partial(self._done, delivery, running))

    def _done(self, delivery: Delivery, running: dict[Delivery, asyncio.Task[None]], _: asyncio.Task[None]) -> None:
        running.pop(delivery, None)
        self._fill()

    async def _run(self, delivery: Delivery) -> None:
        error: BaseException | None = None
        try:
            delivery.result = await cast("Awaitable[object]", delivery.handler.function(delivery.start()))
        except BaseException as raised:  # noqa: BLE001 - whatever user code raises ends its delivery, not the loop
            error = raised
        try:
            self._ended(delivery, error)
        finally:
            error = None  # its traceback holds this frame: with it the delivery and its body would wait for the garbage collector


def _log_abandoned(delivery: Delivery) -> None:
    logger.error(
        "a handler ran past its deadline of {} ms and does not end; it is left behind", delivery.policy.deadline_ms,
        id=delivery.record.id, topic=delivery.topic, attempt=delivery.attempt,
    )  # fmt: skip


def _serve(loop: asyncio.AbstractEventLoop, close: Close | None) -> None:
    loop.run_forever()
    if close is not None:
        loop.run_until_complete(close())
    loop.close()


Pool = ThreadPool | AsyncPool
