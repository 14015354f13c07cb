"""When to run the next pass, and that it runs: APScheduler's job, and an exact monotonic timer for the last stretch.

The job's run time is a date of the host's wall clock: host now + (due - Redis now), less the last stretch, for which it sets
the timer. A host clock that is stepped makes APScheduler late or early; the timer, which is monotonic, stands behind it from
the beginning, so a pass comes in time all the same. A time that is near already needs no job: at a thousand due times a
second, making them would be most of the work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from dispatcher.exact_timer import ExactTimer

JOB = "dispatch"
STOP_S = 2.0
STRETCH_S = 0.05
"""The last stretch: so long before its time the job comes."""
BEHIND_S = 0.003
"""How far the timer stands behind the time while the job has not come."""


class Alarm:
    """Runs ``work`` at the time it was set for, and once more for each ring that came while it ran."""

    def __init__(self, scheduler: AsyncIOScheduler, work: Callable[[], Awaitable[None]], job: str = JOB) -> None:
        """``job``: the name of its job, of which there is one in the scheduler."""
        self._scheduler, self._job = scheduler, job
        self._work = work
        self._timer = ExactTimer(self._ring_now)
        self._at_s: float | None = None
        self._ringing: set[asyncio.Future[None]] = set()
        """Rings under way: the event loop itself keeps no hold of them."""
        self._running = False
        self._again = False
        self._stopped = False
        self._idle = asyncio.Event()
        self._idle.set()

    def set(self, at_s: float) -> None:
        """Rings at that monotonic time, unless it is set for an earlier one."""
        if self._stopped or (self._at_s is not None and self._at_s <= at_s):
            return
        self._at_s = at_s
        wait_s = at_s - time.monotonic()
        if wait_s <= 0:
            self._timer.cancel()
            self._ring_now()
        elif wait_s <= STRETCH_S:
            self._timer.set(at_s)
        else:
            self._timer.set(at_s + BEHIND_S)
            self._scheduler.add_job(
                self._near,
                DateTrigger(datetime.now(UTC) + timedelta(seconds=wait_s - STRETCH_S)),
                id=self._job,
                replace_existing=True,
                misfire_grace_time=None,  # however late: run it
                coalesce=True,
            )

    async def _near(self) -> None:
        """APScheduler's job. Where the host's clock jumped ahead it comes early, and the timer is set all the same."""
        if self._at_s is not None and not self._stopped:
            self._timer.set(self._at_s)

    def _ring_now(self) -> None:
        ringing = asyncio.ensure_future(self.ring())
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)

    async def ring(self) -> None:
        """Runs the work now. A ring during a run is remembered and makes it run again."""
        if self._stopped:
            return
        if self._running:
            self._again = True
            return
        self._running = True
        self._idle.clear()
        try:
            self._again = True
            while self._again and not self._stopped:
                self._again = False
                self._at_s = None
                self._timer.cancel()
                await self._work()
        finally:
            self._running = False
            self._idle.set()

    async def stop(self) -> None:
        """Rings no more; waits, but not for ever, until the work under way is done."""
        self._stopped = True
        self._timer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._idle.wait()
