"""A worker process from its start to its end: a runner, and a line for each partition that feeds and settles it.

The process's event loop does all the work with Redis; handlers run in the pools' threads and never block it.

Order of stopping, and why: reading and claiming first (nothing new); what waits for a slot is handed back at once (others
can start it); what runs gets the grace time; settlements are sent; leases are renewed until then; last, the consumer
leaves the groups where nothing is pending for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from consumers.line import Line
from consumers.registry import Handler
from consumers.runner import Runner
from shared.errors import Outage
from shared.logs import logger
from shared.settings import Settings
from shared.store.delivery import Deliveries
from shared.store.directory import Directory
from shared.store.partition import Store
from shared.store.publishing import Publishing
from shared.waiting import end

UNREADY_AFTER_S = 5.0
"""Without an answer from Redis for this long the worker is not ready. It asks every two seconds, also with no slot free."""
WAIT_S = 2.0
"""Longest wait of a read."""
SHOWN = 10
"""Most ids in one log line."""
STOP_TRIES_S = 0.9
"""How long stopping waits for a Redis that does not answer: what is left is found by others when the lease runs out."""


class Worker:
    def __init__(
        self, store: Store, settings: Settings, handlers: dict[str, Handler], name: str, directory: Directory | None = None
    ) -> None:
        """``directory``: what handlers look things up in, kept up to date beside them."""
        self.name = name
        self._settings = settings
        self.runner = Runner(settings, handlers, name)
        work = self.runner.work()
        self._lines = [
            Line(
                partition,
                Deliveries(partition, partition.waiting(WAIT_S), name, list(handlers)),
                settings,
                self.runner.held,
                work,
            )
            for partition in store.partitions
        ]
        self.runner.lines = self._lines
        self._directory = directory
        self._publishing = [Publishing(partitions, settings.webhooks.log_entries) for partitions in store.by_server()]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, then stops in order. Raises ``TooManyAbandoned``, and what is no outage."""
        try:
            await self._run(stop)
        finally:
            await self.close()

    async def close(self) -> None:
        """Lets go of threads and connections. Does nothing more with Redis."""
        self.runner.pools.stop()
        for line in self._lines:
            await line.deliveries.close()

    async def _run(self, stop: asyncio.Event) -> None:
        self.runner.pools.start()
        tasks = [line.tasks() for line in self._lines]
        stopping = asyncio.create_task(stop.wait())
        deadlines = asyncio.create_task(self.runner.watch_deadlines())
        beside = [asyncio.create_task(work) for work in self._beside()]
        every: set[asyncio.Task[Any]] = {deadlines, stopping, *beside, *(task for line in tasks for task in line.values())}
        try:
            await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
            failed = next((task.exception() for task in every if task.done() and task.exception()), None)
            await self._stop(tasks)
            if failed is not None:
                raise failed
        finally:
            await end(*every)

    def _beside(self) -> Iterator[Coroutine[Any, Any, None]]:
        for publishing in self._publishing:
            yield publishing.run()
        if self._directory is not None:
            yield self._directory.run()

    async def _stop(self, tasks: list[dict[str, asyncio.Task[None]]]) -> None:
        self.runner.stopping = True
        started_s = time.monotonic()
        for of_line in tasks:
            for name in ("read", "claim"):
                await end(of_line[name])
        for line in self._lines:
            line.give_back_room()
        self.runner.drop_waiting()
        await self._try_to(self._hand_back)
        if self.runner.pools.held:
            logger.info(
                "stopping: {} handlers run; waiting up to {} ms", self.runner.pools.held, self._settings.consumers.grace_ms
            )
        await self._finish_running(started_s + self._settings.consumers.grace_ms / 1000)
        await self._try_to(self._flush)
        await self._try_to(self._tally)
        await self._try_to(self._tell)
        left = self.runner.held.all()
        if left:
            ids = ", ".join(delivery.record.id for delivery in left[:SHOWN])
            logger.warning(
                "{} deliveries still run after the grace time: others take them when the lease ends ({})", len(left), ids
            )
        await self._try_to(self._leave)

    async def _try_to(self, work: Any) -> None:
        try:
            await asyncio.wait_for(work(), STOP_TRIES_S)
        except (Outage, TimeoutError) as error:
            logger.warning("while stopping: {}", error or "no answer in time")

    async def _hand_back(self) -> None:
        await _all(line.hand_back_unknown() for line in self._lines if line.opened)

    async def _flush(self) -> None:
        await _all(line.settler.flush() for line in self._lines)

    async def _tell(self) -> None:
        await _all(one.finish() for one in self._publishing)

    async def _tally(self) -> None:
        await _all(line.tally.flush() for line in self._lines)

    async def _leave(self) -> None:
        await _all(line.leave() for line in self._lines if line.opened)

    async def _finish_running(self, until_s: float) -> None:
        while time.monotonic() < until_s and self.runner.pools.held:  # noqa: ASYNC110 - threads know no event
            await asyncio.sleep(0.01)

    async def health(self) -> tuple[bool, dict[str, Any]]:
        """Ready while Redis answers."""
        reasons = [reason for line in self._lines for reason in line.troubles(UNREADY_AFTER_S)]
        if self.runner.stopping:
            reasons.append("stopping")
        details = {
            "consumer": self.name,
            "held": len(self.runner.held),
            "abandoned": self.runner.pools.abandoned,
            "counts": dict(self.runner.counts),
            "reasons": reasons,
        }
        return not reasons, details


async def _all(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Side by side, so that a server that does not answer takes no time from the others. Raises the first error at the end."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
