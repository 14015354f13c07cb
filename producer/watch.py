"""Whether Redis answers, asked once a second: what readiness tells, and what keeps the clock."""

from __future__ import annotations

import asyncio
import time

from shared.errors import Outage
from shared.store.partition import Store
from shared.store.preflight import Preflight, inspect
from shared.waiting import OutageWatch

EVERY_S = 1.0
UNREADY_AFTER_S = 3.0


class RedisWatch:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._watch = OutageWatch("producer")
        self._answered_s = -UNREADY_AFTER_S
        self.preflight: Preflight | None = None

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except Outage as outage:
                await asyncio.sleep(self._watch.failed(outage))
            else:
                self._watch.worked()
                await asyncio.sleep(EVERY_S)

    async def run_once(self) -> None:
        """Raises ``Outage``."""
        await self._store.synchronise()
        await self._store.register_topics()
        if self.preflight is None or self._watch.failures:
            self.preflight = await inspect(self._store.partitions[0].client)
        self._answered_s = time.monotonic()

    def reasons(self) -> tuple[str, ...]:
        """Why the producer is not ready; empty where it is."""
        silence_s = time.monotonic() - self._answered_s
        if self._watch.failures:
            return (f"Redis does not answer: {self._watch.last}",)
        if silence_s > UNREADY_AFTER_S:
            return ("Redis has not answered yet" if self.preflight is None else f"no answer from Redis for {silence_s:.1f} s",)
        return ()
