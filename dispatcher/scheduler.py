"""The dispatcher's work, in one table, and what becomes of an outage in each.

=============  =======================  =========  =========================================================
work           runs                     by         does
=============  =======================  =========  =========================================================
``dispatch``   at the next due time     scheduler  moves what is due, sets itself for the next
``janitor``    every 10 seconds         scheduler  retention, caps, dead consumers
``wake-ups``   when one arrives         Redis      sets ``dispatch`` to an earlier time
``tick``       every ``TickMs``         loop       ``dispatch`` once more, the safety net behind all others
``clock``      every 5 seconds          loop       reads Redis's clock
``events``     10 times a second        loop       tells what was done: those who watch, and the log
``tallies``    every 2 seconds          loop       writes how many messages recurring schedules made
=============  =======================  =========  =========================================================

``dispatch``, ``wake-ups`` and ``tick`` are there once for each server (``dispatcher/passes.py``). What must go on when the
host's wall clock is stepped runs by the event loop's monotonic clock, not by APScheduler's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dispatcher.janitor import Janitor
from dispatcher.passes import Passes, every
from shared.errors import Outage
from shared.settings import Settings
from shared.store.partition import Store
from shared.store.publishing import Publishing
from shared.store.tallies import Tallies
from shared.waiting import OutageWatch, end

CLOCK_S = 5
JANITOR_S = 10
TALLIES_S = 2
UNREADY_AFTER_S = 3.0
"""Without a pass for this long (and three ticks) the dispatcher is not ready."""


class Dispatcher:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self.passes = [Passes(self._scheduler, partitions, settings, self._crashed) for partitions in store.by_server()]
        self._janitor = Janitor(store, settings)
        self._upkeep = OutageWatch("upkeep")
        self._tallies = Tallies(store)
        self._publishing = [Publishing(partitions, settings.webhooks.log_entries) for partitions in store.by_server()]
        self._crash = asyncio.get_running_loop().create_future()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set. Raises what is no outage: a programmer's error ends the process."""
        self._scheduler.add_job(
            self._guarded(self._janitor.run_once),
            "interval",
            seconds=JANITOR_S,
            id="janitor",
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
        self._scheduler.start()
        loops = [asyncio.create_task(loop) for passes in self.passes for loop in passes.loops()]
        loops.append(asyncio.create_task(every(CLOCK_S, self._guarded(self._store.synchronise))))
        loops += [asyncio.create_task(one.run()) for one in self._publishing]
        loops.append(asyncio.create_task(every(TALLIES_S, self._tallies.flush)))
        for passes in self.passes:
            passes.alarm.set(time.monotonic())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, self._crash, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._crash, *loops):
                if ended.done():
                    ended.result()
        finally:
            await end(stopping, *loops)
            await asyncio.gather(*(passes.alarm.stop() for passes in self.passes))
            self._scheduler.shutdown(wait=False)
            await asyncio.gather(*(one.finish() for one in self._publishing))
            await self._tallies.flush_last()

    def _guarded(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def guarded() -> None:
            try:
                await work()
            except Outage as outage:
                self._upkeep.failed(outage)
            except Exception as error:
                self._crashed(error)
                raise
            else:
                self._upkeep.worked()

        return guarded

    def _crashed(self, error: Exception) -> None:
        if not self._crash.done():
            self._crash.set_exception(error)

    async def health(self) -> tuple[bool, dict[str, Any]]:
        """Ready while passes are completed, on every server."""
        limit_s = max(UNREADY_AFTER_S, 3 * self._settings.dispatcher.tick_ms / 1000)
        reasons, outages = [], Counter[str]()
        for passes in self.passes:
            silence_s = time.monotonic() - passes.completed_s
            if silence_s >= limit_s:
                reasons.append(f"no pass completed for {silence_s:.1f} s: {passes.watch.last or 'no answer yet'}")
            outages += passes.outages
        return not reasons, {"moved": self.moved, "outages": dict(outages), "reasons": reasons}

    @property
    def moved(self) -> int:
        """Messages moved since the start."""
        return sum(passes.forwarder.moved for passes in self.passes)
