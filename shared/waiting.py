"""Waiting out an outage, and ending what waits: the loops that every process uses around its work with Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from shared.backoff import OUTAGE
from shared.errors import Outage
from shared.logs import logger

T = TypeVar("T")
CANCEL_AGAIN_S = 0.2


class OutageWatch:
    """Counts outages in a row, logs the first and the end, and says how long to wait."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.failures = 0
        self.last = ""
        self._since_s = 0.0

    def failed(self, outage: Outage) -> float:
        """Notes an outage; returns the seconds to wait."""
        self.failures += 1
        self.last = str(outage)
        if self.failures == 1:
            self._since_s = time.monotonic()
            logger.warning("{}: Redis is out ({}); going on as soon as it answers", self.what, outage)
        return OUTAGE.delay_ms(self.failures) / 1000

    def failing_s(self) -> float:
        """For how long nothing has worked; 0 where the last try did."""
        return time.monotonic() - self._since_s if self.failures else 0.0

    def worked(self) -> None:
        if self.failures:
            logger.info("{}: Redis answers again after {} tries", self.what, self.failures)
            self.failures, self.last = 0, ""


async def until_it_works(what: str, work: Callable[[], Awaitable[T]]) -> T:
    """Calls ``work`` until it raises no ``Outage``, waiting in between. Any other error is raised."""
    watch = OutageWatch(what)
    while True:
        try:
            result = await work()
        except Outage as outage:
            await asyncio.sleep(watch.failed(outage))
        else:
            watch.worked()
            return result


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks and waits until they have ended.

    It asks again and again: ``asyncio.wait_for`` of Python 3.11, around each command that the client library sends, loses a
    cancellation that comes in the same step as its answer, and a loop around the command would go on for ever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
