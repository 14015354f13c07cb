"""When to run the next pass, and that it runs: APScheduler's job, with a monotonic timer behind it.

The job's run time is a date of the host's wall clock: host now + (due - Redis now). A host clock that is stepped makes
APScheduler late or early; the event loop's timer, which is monotonic, stands behind it, so a pass comes in time all the
same. An early pass finds nothing due and sets the alarm again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

JOB = "dispatch"
BEHIND_S = 0.003
"""How far the timer stands behind the job: where the job comes in time, the timer is taken back unused."""


class Alarm:
    """Runs ``work`` at the time it was set for, and once more for each ring that came while it ran."""

    def __init__(self, scheduler: AsyncIOScheduler, work: Callable[[], Awaitable[None]]) -> None:
        self._scheduler = scheduler
        self._work = work
        self._timer: asyncio.TimerHandle | None = None
        self._at_s: float | None = None
        self._ringing: asyncio.Future[None] | None = None
        self._running = False
        self._again = False

    def set(self, at_s: float) -> None:
        """Rings at that monotonic time, unless it is set for an earlier one."""
        if self._at_s is not None and self._at_s <= at_s:
            return
        self._at_s = at_s
        self._cancel_timer()
        wait_s = at_s - time.monotonic()
        if wait_s <= 0:
            self._ring_now()
            return
        self._timer = asyncio.get_running_loop().call_later(wait_s + BEHIND_S, self._ring_now)
        self._scheduler.add_job(
            self.ring,
            DateTrigger(datetime.now(UTC) + timedelta(seconds=wait_s)),
            id=JOB,
            replace_existing=True,
            misfire_grace_time=None,  # however late: run it
            coalesce=True,
        )

    def _ring_now(self) -> None:
        self._ringing = asyncio.ensure_future(self.ring())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def ring(self) -> None:
        """Runs the work now. A ring during a run is remembered and makes it run again."""
        if self._running:
            self._again = True
            return
        self._running = True
        try:
            self._again = True
            while self._again:
                self._again = False
                self._at_s = None
                self._cancel_timer()
                await self._work()
        finally:
            self._running = False
