"""The dispatcher's work, in one table, and what becomes of an outage in each.

=============  =======================  =========  =========================================================
work           runs                     by         does
=============  =======================  =========  =========================================================
``dispatch``   at the next due time     scheduler  moves what is due, sets itself for the next
``janitor``    every 10 seconds         scheduler  retention, caps, dead consumers
``wake-ups``   when one arrives         Redis      sets ``dispatch`` to an earlier time
``tick``       every ``TickMs``         loop       ``dispatch`` once more, the safety net behind all others
``clock``      every 5 seconds          loop       reads Redis's clock
=============  =======================  =========  =========================================================

What must go on when the host's wall clock is stepped runs by the event loop's monotonic clock, not by APScheduler's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dispatcher.alarm import Alarm
from dispatcher.forwarder import Forwarder
from dispatcher.janitor import Janitor
from shared.errors import Outage
from shared.settings import Settings
from shared.store.due import WakeUps
from shared.store.partition import Partition, Store
from shared.waiting import OutageWatch, end

CLOCK_S = 5
JANITOR_S = 10
UNREADY_AFTER_S = 3.0
"""Without a pass for this long (and three ticks) the dispatcher is not ready."""


class Dispatcher:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._alarm = Alarm(self._scheduler, self._pass)
        self.forwarder = Forwarder(store.partitions, list(settings.all_topics()), settings.dispatcher)
        self._janitor = Janitor(store, settings)
        self._passes = OutageWatch("dispatch")
        self._listening = OutageWatch("wake-ups")
        self._upkeep = OutageWatch("upkeep")
        self._last_pass_s = time.monotonic()
        self._outages: dict[str, int] = {}
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
        loops = [asyncio.create_task(self._listen(partition)) for partition in self._store.partitions]
        loops.append(asyncio.create_task(_every(self._settings.dispatcher.tick_ms / 1000, self._alarm.ring)))
        loops.append(asyncio.create_task(_every(CLOCK_S, self._guarded(self._store.synchronise))))
        self._alarm.set(time.monotonic())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, self._crash, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._crash, *loops):
                if ended.done():
                    ended.result()
        finally:
            await end(stopping, *loops)
            await self._alarm.stop()
            self._scheduler.shutdown(wait=False)

    async def _pass(self) -> None:
        try:
            done = await self.forwarder.run_once()
        except Outage as outage:
            self._outages[outage.kind] = self._outages.get(outage.kind, 0) + 1
            self._alarm.set(time.monotonic() + self._passes.failed(outage))
            return
        except Exception as error:
            self._crashed(error)
            raise
        self._passes.worked()
        self._last_pass_s = time.monotonic()
        if done.next_due_s is not None:
            self._alarm.set(done.next_due_s)

    async def _listen(self, partition: Partition) -> None:
        wake_ups = WakeUps(partition)
        try:
            while True:
                try:
                    wake_up = await wake_ups.next()
                except Outage as outage:
                    await asyncio.sleep(self._listening.failed(outage))
                    continue
                self._listening.worked()
                if wake_up is not None:
                    self._alarm.set(partition.clock.monotonic_s(wake_up[1]))
        finally:
            await wake_ups.close()

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
        """Ready while passes are completed."""
        silence_s = time.monotonic() - self._last_pass_s
        ready = silence_s < max(UNREADY_AFTER_S, 3 * self._settings.dispatcher.tick_ms / 1000)
        reasons = [] if ready else [f"no pass completed for {silence_s:.1f} s: {self._passes.last or 'no answer yet'}"]
        return ready, {"moved": self.forwarder.moved, "outages": self._outages, "reasons": reasons}


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()
