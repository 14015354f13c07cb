"""Whether Redis answers, asked once a second: what readiness tells, what keeps the clock, and what is unsafe about it. What
was counted since is written down then too."""

from __future__ import annotations

import asyncio
import time

from shared.errors import Outage, SettingsError
from shared.store.partition import Store
from shared.store.preflight import Preflight
from shared.store.tallies import Tallies
from shared.waiting import OutageWatch

EVERY_S = 1.0
INSPECT_S = 10.0
UNREADY_AFTER_S = 3.0


class RedisWatch:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._watch = OutageWatch("producer")
        self.tallies = Tallies(store)
        self._answered_s = -UNREADY_AFTER_S
        self._inspected_s = -INSPECT_S
        self.preflight: Preflight | None = None
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with the ``SettingsError`` of a setting that this Redis cannot fulfil, as soon as that is known."""

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
        await self.tallies.flush()
        if self._watch.failures or time.monotonic() - self._inspected_s > INSPECT_S:
            first, self.preflight = self.preflight is None, await self._store.inspect()
            self._inspected_s = time.monotonic()
            if first:
                self._refuse()
        self._answered_s = time.monotonic()

    def _refuse(self) -> None:
        """A durability that this Redis cannot give is refused at the start: later, single requests are."""
        why = self._store.no_fsync()
        if self._store.settings.durability == "fsync" and why and not self.refused.done():
            expected = f"expected memory or replica: fsync cannot be had, since {why}"
            self.refused.set_exception(SettingsError("Durability", "fsync", expected))

    def reasons(self) -> tuple[str, ...]:
        """Why the producer is not ready; empty where it is."""
        silence_s = time.monotonic() - self._answered_s
        if self._watch.failures:
            return (f"Redis does not answer: {self._watch.last}",)
        if silence_s > UNREADY_AFTER_S:
            return ("Redis has not answered yet" if self.preflight is None else f"no answer from Redis for {silence_s:.1f} s",)
        return ()
