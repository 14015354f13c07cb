"""Ends deliveries in batches: what ends while one batch is under way goes together in the next.

Any thread may report to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from consumers.bell import Bell
from shared.errors import Outage
from shared.logs import logger
from shared.store.delivery import Deliveries
from shared.store.entries import Lease, Settlement
from shared.waiting import OutageWatch

BATCH_BYTES = 2**20
LONGEST_WAIT_S = 0.25
"""Between tries in an outage: what has ended and is not settled runs again where its worker dies before that."""


class Settler:
    """One partition's settlements. ``settled`` is called in the process's loop for each, with whether it took effect."""

    def __init__(
        self,
        deliveries: Deliveries,
        batch_size: int,
        max_finished: int,
        settled: Callable[[Settlement, bool], None],
        lease_now: Callable[[Settlement], Awaitable[Lease | None]],
    ) -> None:
        """``lease_now``: the lease by which a settlement's delivery is held by now, where it is held."""
        self._deliveries = deliveries
        self._batch_size, self._max_finished = batch_size, max_finished
        self._settled, self._lease_now = settled, lease_now
        self._unsure = 0
        """How many settlements were sent without an answer: a repeat is refused where they took effect."""
        self._waiting: deque[Settlement] = deque()
        self._bell = Bell(asyncio.get_running_loop(), self._notice)
        self._reported = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.watch = OutageWatch("settle")
        self.fenced = 0
        """Settlements that came too late: the lease was another's."""

    def report(self, settlement: Settlement) -> None:
        """Takes a settlement from any thread."""
        self._waiting.append(settlement)
        self._bell.ring()

    def _notice(self) -> None:
        self._idle.clear()
        self._reported.set()

    async def run(self) -> None:
        while True:
            await self._reported.wait()
            self._reported.clear()
            while self._waiting:
                try:
                    await self.run_once()
                except Outage as outage:
                    await asyncio.sleep(min(LONGEST_WAIT_S, self.watch.failed(outage)))
                else:
                    self.watch.worked()
            self._idle.set()

    async def run_once(self) -> int:
        """Settles one batch. Raises ``Outage``; the batch stays and is sent again (a repeat has no second effect)."""
        batch = self._batch()
        unsure, self._unsure = self._unsure, len(batch)
        results = await self._deliveries.settle(batch, self._max_finished)
        self._unsure = 0
        for settlement, took_effect in zip(batch, results, strict=True):
            repeated, unsure = unsure > 0, unsure - 1
            lease = None if took_effect else await self._lease_now(settlement)
            self._waiting.popleft()
            if lease is not None and lease != settlement.lease:  # claimed anew by this consumer while it was reported
                self._waiting.append(msgspec.structs.replace(settlement, lease=lease))
                continue
            if not took_effect and repeated:
                logger.info(
                    "its settlement, repeated after a lost answer, had taken effect or was too late", id=settlement.message_id
                )
            elif not took_effect:
                self.fenced += 1
                logger.warning("too late to settle: the lease was lost meanwhile", id=settlement.message_id)
            self._settled(settlement, took_effect)
        return len(batch)

    def _batch(self) -> list[Settlement]:
        """Bounded by number, and by the bytes that the script has to move."""
        batch, size = list[Settlement](), 0
        for position in range(min(len(self._waiting), self._batch_size)):
            size += self._waiting[position].record_bytes
            if batch and size > BATCH_BYTES:
                break
            batch.append(self._waiting[position])
        return batch

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    async def flush(self) -> None:
        """Waits until everything reported so far is settled."""
        if self._waiting:
            self._notice()
        await self._idle.wait()
