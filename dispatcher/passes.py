"""The passes over the partitions of one server: at the next due time, when a wake-up tells of an earlier one, at every tick.

Each server has its own, so that one that is out, or answers nothing, makes no other's messages late.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dispatcher.alarm import JOB, Alarm
from dispatcher.forwarder import Forwarder
from shared.errors import Outage
from shared.settings import Settings
from shared.store.due import WakeUps
from shared.store.keys import ALL, lanes, parse_lane
from shared.store.partition import Partition
from shared.waiting import OutageWatch


class Passes:
    def __init__(
        self, scheduler: AsyncIOScheduler, partitions: list[Partition], settings: Settings, crashed: Callable[[Exception], None]
    ) -> None:
        """``crashed`` is told of what is no outage: APScheduler would only log it."""
        self._partitions, self._crashed = partitions, crashed
        self._tick_s = settings.dispatcher.tick_ms / 1000
        self.alarm = Alarm(scheduler, self._pass, f"{JOB} {partitions[0].number}")
        self.forwarder = Forwarder(partitions, settings.all_topics(), settings.dispatcher)
        self.watch = OutageWatch("dispatch")
        self.listening = OutageWatch("wake-ups")
        self._look = True
        """Whether every topic is looked at, and what is paused, whatever is known."""
        self.outages: Counter[str] = Counter()
        self.completed_s = time.monotonic()
        """When a pass was completed last."""

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What runs until it is cancelled."""
        return [every(self._tick_s, self._tick), *(self._listen(partition) for partition in self._partitions)]

    async def _tick(self) -> None:
        self._look = True
        await self.alarm.ring()

    async def _pass(self) -> None:
        try:
            await self._read_clocks()
            if self._look:
                await self.forwarder.look_for_pauses()
                self._look = False
            done = await self.forwarder.run_once()
        except Outage as outage:
            self.outages[outage.kind] += 1
            self._look = True  # whatever answers next may be another server
            self.alarm.set(time.monotonic() + self.watch.failed(outage))
            return
        except Exception as error:
            self._crashed(error)
            raise
        self.watch.worked()
        self.completed_s = time.monotonic()
        if done.next_s is not None:
            self.alarm.set(done.next_s)

    async def _read_clocks(self) -> None:
        """Before the first pass; later they are read apart from it."""
        for partition in self._partitions:
            if not partition.clock.synchronised:
                await partition.synchronise()

    async def _listen(self, partition: Partition) -> None:
        wake_ups = WakeUps(partition)
        try:
            while True:
                try:
                    wake_up = await wake_ups.next()
                except Outage as outage:
                    await asyncio.sleep(self.listening.failed(outage))
                    continue
                self.listening.worked()
                if wake_up is not None:
                    self._woken(partition, *wake_up)
        finally:
            await wake_ups.close()

    def _woken(self, partition: Partition, lane: str, due_ms: int) -> None:
        at_s = partition.clock.monotonic_s(due_ms)
        topic, level = parse_lane(lane)
        for one in lanes(topic) if level == ALL else (lane,):
            if self.forwarder.agenda.sooner((partition.number, one), at_s):
                self.alarm.set(at_s)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()
