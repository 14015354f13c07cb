"""What a worker does for one partition: read, renew, claim, settle. Each task loops over a step that can be called alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

from consumers.delivery import Delivery
from consumers.held import Held
from consumers.reader import Reader
from consumers.settler import Settler
from shared.errors import Outage
from shared.settings import Settings
from shared.store import topics
from shared.store.delivery import Deliveries
from shared.store.entries import Entry, Lease, Settlement
from shared.store.partition import Partition
from shared.store.tallies import Tally
from shared.waiting import OutageWatch, until_it_works

RENEW_CHUNK = 200
SETTLE_CHUNK = 200
"""More in one script would hold Redis for milliseconds."""
HAND_BACK_CHUNK = 20
"""Fewer: their records, of unknown size, are read and written again."""
RENEWALS_PER_LEASE = 4
CLAIM_TICK_S = 0.5
OWNERS_FIRST = 0.5
"""After an outage, or a step of Redis's clock, nothing is claimed for this share of a lease: those who still run their
deliveries renew them first."""
UPKEEP_S = 2.0
PAUSES_S = 1.0
"""How soon a worker knows that a topic is paused or resumed."""


class Work:
    """What a line needs of the worker it belongs to."""

    def __init__(
        self,
        plan: Callable[[], dict[str, int]],
        receive: Callable[[Line, Sequence[Entry]], None],
        claimed: Callable[[Line, Sequence[Entry]], None],
        free: Callable[[str], int],
        excess: Callable[[str], int],
        suspects: Callable[[], int],
        lost: Callable[[Delivery], None],
        settled: Callable[[Settlement, bool], None],
        reserved: Callable[[dict[str, int]], AbstractContextManager[None]],
        has_room: Callable[[str], bool],
        has_room_soon: Callable[[dict[str, int]], bool],
    ) -> None:
        self.plan = plan
        self.receive = receive
        self.claimed = claimed
        """Takes entries that start at once."""
        self.free = free
        """Free slots for a topic."""
        self.excess = excess
        """How many deliveries of its pool stand between a topic and a free slot."""
        self.suspects = suspects
        """Deliveries at work that may be what kills workers."""
        self.lost = lost
        self.settled = settled
        self.reserved = reserved
        """Keeps room of the pools for what is on its way: other partitions plan at the same time."""
        self.has_room = has_room
        """Whether one more of a topic can soon run."""
        self.has_room_soon = has_room_soon
        """Whether a topic that a plan leaves out will be asked for in a moment."""
        self.claiming = asyncio.Lock()
        """One claim at a time in a process, so that the bounds on what it may take hold over all partitions."""


class Line:
    def __init__(self, partition: Partition, deliveries: Deliveries, settings: Settings, held: Held, work: Work) -> None:
        self.partition = partition
        self.deliveries = deliveries
        self._settings = settings.consumers
        self._held = held
        self._work = work
        self._taking = asyncio.Lock()
        """Held while entries are on their way here: what is pending and not held may then be theirs."""
        self._cursors = dict.fromkeys(deliveries.streams, "-")
        self._kept = ExitStack()
        """Room that the readers leave to a stuck delivery until the next claim."""
        self._owners_first_until_s = 0.0
        self._clock_began_s = float("-inf")
        """When Redis's clock was zero, by this host's monotonic clock, as it was known at the last claim."""
        self.opened = False
        """Whether its clock was read and its groups were looked for: before that nothing is read or claimed."""
        self.claimed = 0
        self.tally = Tally(partition)
        self._watches = {what: OutageWatch(what) for what in ("renew", "claim", "upkeep", "pauses")}
        self.reader = Reader(
            deliveries,
            work.plan,
            work.reserved,
            lambda entries: work.receive(self, entries),
            self.hand_back_unknown,
            work.has_room,
            work.has_room_soon,
            settings.partitions,
        )
        self.settler = Settler(
            deliveries,
            min(settings.consumers.batch_size, SETTLE_CHUNK),
            settings.retention.max_delivered,
            work.settled,
            self._lease_now,
        )

    async def _lease_now(self, settlement: Settlement) -> Lease | None:
        async with self._taking:  # a claim of our own may have taken it just now: its answer is waited for
            pass
        delivery = self._held.at(settlement.lease.stream, settlement.lease.entry_id)
        return delivery.lease if delivery is not None and not delivery.lost else None

    def tasks(self) -> dict[str, asyncio.Task[None]]:
        """Starts everything; the names tell what each does. Lines open apart: one server's outage keeps no other's work back."""
        lease_s = self._settings.lease_ms / 1000
        return {
            "read": asyncio.create_task(self._open_and_read()),
            "settle": asyncio.create_task(self.settler.run()),
            "renew": asyncio.create_task(self._every(lease_s / RENEWALS_PER_LEASE, "renew", self.renew_once)),
            "claim": asyncio.create_task(self._every(min(CLAIM_TICK_S, lease_s / 4), "claim", self.claim_once)),
            "upkeep": asyncio.create_task(self._every(UPKEEP_S, "upkeep", self.upkeep_once)),
            "pauses": asyncio.create_task(self._every(PAUSES_S, "pauses", self.look_for_pauses)),
        }

    async def _open_and_read(self) -> None:
        await self.open()
        await self.reader.run()

    async def _every(self, seconds: float, what: str, work: Callable[[], object]) -> None:
        """After an outage the next try comes sooner, not later: a lease runs out meanwhile."""
        watch, wait_s = self._watches[what], seconds
        while True:
            await asyncio.sleep(wait_s)
            try:
                await work()  # type: ignore[misc] # each is a coroutine function
            except Outage as outage:
                wait_s = min(seconds, watch.failed(outage))
                if what in {"renew", "claim"}:
                    self._owners_first()
            else:
                wait_s = seconds
                watch.worked()

    def troubles(self, longer_than_s: float) -> list[str]:
        """What has not worked for so long, and why."""
        reasons = []
        silence_s = time.monotonic() - self.reader.answered_s
        if silence_s > longer_than_s:
            reasons.append(f"no answer from Redis for {silence_s:.1f} s: {self.reader.watch.last}".removesuffix(": "))
        for watch in (self.settler.watch, *self._watches.values()):
            if watch.failing_s() > longer_than_s and not reasons:
                reasons.append(f"{watch.what} does not work for {watch.failing_s():.1f} s: {watch.last}")
        return reasons

    async def renew_once(self) -> int:
        """Renews every lease held, but those whose handlers hang. Returns how many are lost. Raises ``Outage``."""
        now_s = time.monotonic()
        wanted = [
            one for one in self._held.all() if one.partition == self.partition.number and not one.lost and not one.hangs(now_s)
        ]
        lost = 0
        for start in range(0, len(wanted), RENEW_CHUNK):
            chunk = wanted[start : start + RENEW_CHUNK]
            leases, sent_s = [one.lease for one in chunk], time.monotonic()
            for delivery, lease, kept in zip(chunk, leases, await self._renew(leases), strict=True):
                if delivery.lease != lease:  # claimed anew meanwhile: the answer is about the lease before
                    continue
                if kept:
                    delivery.confirmed_s = sent_s
                elif not delivery.ended and self._held.at(lease.stream, lease.entry_id) is delivery:
                    lost += 1
                    self._work.lost(delivery)
        return lost

    async def _renew(self, leases: list[Lease]) -> list[bool]:
        """An answer that takes long is given up early enough for another try within the lease."""
        try:
            async with asyncio.timeout(self._settings.lease_ms / 1000 / RENEWALS_PER_LEASE):
                return await self.deliveries.renew(leases)
        except TimeoutError:
            raise Outage("timeout", "a renewal took too long") from None

    async def claim_once(self) -> int:
        """Takes stuck deliveries into free slots. Returns how many. Raises ``Outage``."""
        if not self.opened:
            return 0
        self.give_back_room()
        if time.monotonic() < self._owners_first_until_s:
            await self.partition.synchronise()  # an outage that goes on prolongs this: it counts from the outage's end
            return 0
        taken, stuck = 0, ""
        for stream in self.deliveries.streams:
            topic = self.deliveries.topic_of(stream)
            if topic in self.deliveries.paused:
                continue
            async with self._work.claiming, self._taking:
                if self._clock_has_stepped():
                    break
                room = self._work.free(topic)
                with self._work.reserved({topic: room}):
                    entries = await self._claim(stream, room)
                if entries:
                    self._work.claimed(self, entries)
                elif room <= 0 and self._cursors[stream][0] not in "-(":  # one is stuck, and no slot is free for it
                    stuck = topic
            taken += len(entries)
        if stuck:
            self._kept.enter_context(self._work.reserved({stuck: self._work.excess(stuck)}))
        self.claimed += taken
        return taken

    def _clock_has_stepped(self) -> bool:
        """Whether Redis's clock was set forward since the last claim: leases that are held look as if they had run out.

        A step that this process has not seen yet is seen by the script: by the old reading the claim comes too late.
        """
        lease_s, began_s = self._settings.lease_ms / 1000, self.partition.clock.monotonic_s(0)
        stepped = began_s < self._clock_began_s - lease_s / 4
        self._clock_began_s = began_s
        if stepped:
            self._owners_first()
        return stepped

    def _owners_first(self) -> None:
        self._owners_first_until_s = time.monotonic() + OWNERS_FIRST * self._settings.lease_ms / 1000

    def give_back_room(self) -> None:
        self._kept.close()

    async def _claim(self, stream: str, room: int) -> list[Entry]:
        settings, suspects = self._settings, 0 if self._work.suspects() else 1
        try:
            self._cursors[stream], entries = await self.deliveries.claim(
                stream, self._cursors[stream], settings.lease_ms, settings.claim_max_ms, room, suspects
            )
        except Outage:  # left pending, what the answer brought would be claimed again as a lost attempt, and was not started
            self.reader.answer_lost = True
            raise
        return entries

    async def hand_back_unknown(self) -> None:
        """Gives back what Redis thinks is held here and is not: the answer that brought it was lost. Raises ``Outage``."""
        async with self._taking:
            pending = await self.deliveries.pending()
            unknown = [lease for lease in pending if self._held.at(lease.stream, lease.entry_id) is None]
            for start in range(0, len(unknown), HAND_BACK_CHUNK):
                await self.deliveries.hand_back(unknown[start : start + HAND_BACK_CHUNK])

    async def upkeep_once(self) -> None:
        """Reads the clock; writes what was counted; makes groups that could not be made before. Raises ``Outage``."""
        await self.partition.synchronise()
        await self.tally.flush()
        if self.reader.needs_no_answer:
            self.reader.answered_s = time.monotonic()
        if self.deliveries.groupless:
            await self.deliveries.create_groups()

    async def look_for_pauses(self) -> None:
        """Raises ``Outage``."""
        self.deliveries.paused = await topics.paused(self.partition)

    async def leave(self) -> bool:
        """Hands back what is left and leaves the groups where nothing is pending. Raises ``Outage``."""
        await self.hand_back_unknown()
        return await self.deliveries.leave()

    async def open(self) -> None:
        """Makes ready what the tasks need: the clock, the groups. Waits out outages."""
        await until_it_works("start", self.partition.synchronise)
        await until_it_works("start", self.deliveries.create_groups)
        await until_it_works("start", self.look_for_pauses)
        self.opened = True
