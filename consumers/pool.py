"""Where handlers run: threads for ``def``, an event loop of its own for ``async def``. The only code that starts threads.

A pool knows nothing of Redis. It takes deliveries from its intake, runs the handler, and reports the end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from consumers.delivery import Delivery
from consumers.intake import Intake
from shared.logs import logger

Ended = Callable[[Delivery, BaseException | None], bool]
"""Called in the pool's thread when a handler has returned (``None``) or raised. False: its deadline had ended it before."""
MayStart = Callable[[Delivery], bool]
"""Says, at the last moment, whether the lease is surely held."""
CANCEL_S = 1.0
"""How long a cancelled coroutine may take to end before it counts as abandoned."""


class ThreadPool:
    """``limit`` threads that run ``def`` handlers."""

    def __init__(self, limit: int, ended: Ended, may_start: MayStart) -> None:
        self.limit = limit
        self.intake = Intake()
        self.abandoned = 0
        """Threads left behind with a handler that ran past its deadline."""
        self._ended, self._may_start = ended, may_start
        self._numbers = 0
        self._counting = threading.Lock()

    def start(self) -> None:
        for _ in range(self.limit):
            self._start_thread()

    def put(self, delivery: Delivery, *, first: bool = False) -> None:
        self.intake.put(delivery, first=first)

    def abandon(self, delivery: Delivery) -> None:
        """Leaves the thread of a delivery to itself and puts a new one in its place."""
        with self._counting:
            self.abandoned += 1
        logger.error(
            "a handler ran past its deadline of {} ms; its thread is left behind", delivery.policy.deadline_ms,
            id=delivery.record.id, topic=delivery.topic, attempt=delivery.attempt,
        )  # fmt: skip
        self._start_thread()

    def _start_thread(self) -> None:
        self._numbers += 1
        threading.Thread(target=self._work, name=f"handler-{self._numbers}", daemon=True).start()

    def _work(self) -> None:
        while (delivery := self.intake.take()) is not None:
            if not self._may_start(delivery):
                continue
            error: BaseException | None = None
            try:
                delivery.handler.function(delivery.start())
            except BaseException as raised:  # noqa: BLE001 - whatever user code raises ends its delivery, not the thread
                error = raised
            if not self._ended(delivery, error):  # past its deadline: another thread has this one's place
                with self._counting:
                    self.abandoned -= 1
                return


class AsyncPool:
    """One event loop, apart from the process's own, that runs up to ``limit`` ``async def`` handlers.

    A handler that blocks its loop therefore delays its like, but no lease and no settlement.
    """

    def __init__(self, limit: int, ended: Ended, may_start: MayStart) -> None:
        self.limit = limit
        self.intake = Intake()
        self.abandoned = 0
        self._ended, self._may_start = ended, may_start
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._running = {}
        threading.Thread(target=self._loop.run_forever, name="async-handlers", daemon=True).start()

    def put(self, delivery: Delivery, *, first: bool = False) -> None:
        self.intake.put(delivery, first=first)
        self._call(self._fill)

    def abandon(self, delivery: Delivery) -> None:
        """Cancels a handler; where it does not end, counts it, and replaces the loop if it is blocked."""
        loop, task = self._loop, self._running.get(delivery)
        if loop is None or task is None:
            return
        answered = threading.Event()

        def cancel() -> None:
            task.cancel()
            answered.set()

        self._call(cancel)
        asyncio.get_running_loop().call_later(CANCEL_S, self._check, loop, task, answered)

    def _check(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], answered: threading.Event) -> None:
        if task.done():
            return
        self.abandoned += 1
        if not answered.is_set() and loop is self._loop:
            logger.error("an async handler blocks its event loop; starting another loop")
            self.start()
            self._call(self._fill)

    def _call(self, work: Callable[[], object]) -> None:
        assert self._loop is not None  # noqa: S101 - started first
        self._loop.call_soon_threadsafe(work)

    def _fill(self) -> None:
        while len(self._running) < self.limit and (delivery := self.intake.take_now()) is not None:
            if not self._may_start(delivery):
                continue
            task = asyncio.ensure_future(self._run(delivery))
            running = self._running
            running[delivery] = task
            task.add_done_callback(partial(self._done, delivery, running))

    def _done(self, delivery: Delivery, running: dict[Delivery, asyncio.Task[None]], _: asyncio.Task[None]) -> None:
        running.pop(delivery, None)
        if running is self._running:  # else this loop was replaced
            self._fill()

    async def _run(self, delivery: Delivery) -> None:
        error: BaseException | None = None
        try:
            await cast("Awaitable[object]", delivery.handler.function(delivery.start()))
        except BaseException as raised:  # noqa: BLE001 - whatever user code raises ends its delivery, not the loop
            error = raised
        self._ended(delivery, error)


Pool = ThreadPool | AsyncPool
