"""A worker process: pools that run handlers, and a line for each partition that feeds and settles them.

The event loop of this file does all the work with Redis; handlers run in the pools' threads and never block it.

Order of stopping, and why: reading and claiming first (nothing new); what waits for a slot is handed back at once (others
can start it); what runs gets the grace time; settlements are sent; leases are renewed until then; last, the consumer
leaves the groups where nothing is pending for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from consumers.capacity import Capacity
from consumers.delivery import Delivery
from consumers.held import Held
from consumers.line import Line, Work
from consumers.outcomes import Dead, Retry
from consumers.policy import message_policy, topic_policy
from consumers.pool import AsyncPool, Pool, ThreadPool
from consumers.registry import Handler
from consumers.verdict import describe, finished, lease_of, put_back, spent, unreadable, verdict
from shared.errors import Outage
from shared.logs import logger
from shared.record import NewerRecord, Record, UnreadableRecord, decode_record
from shared.settings import Settings
from shared.store.connect import waiting_client
from shared.store.delivery import Deliveries, Entry, Lease, Settlement
from shared.store.partition import Store
from shared.waiting import end

DEADLINE_TICK_S = 0.05
NEWER_RECORD_RETRY_MS = 5_000
UNREADY_AFTER_S = 5.0
"""Without an answer from Redis for this long the worker is not ready. It asks every two seconds, also with no slot free."""
MAX_BACKLOG = 1_000
"""Ended deliveries that wait to be settled; with more the worker reads nothing new."""
SHOWN = 10
"""Most ids in one log line."""
LEASE_MARGIN = 0.25
"""A handler is started only while its last confirmed renewal is younger than the lease less this share of it."""
STOP_TRIES_S = 0.9
"""How long stopping waits for a Redis that does not answer: what is left is found by others when the lease runs out."""


class DeadlineExceeded(Exception):
    """The handler ran past its deadline."""


class TooManyAbandoned(Exception):
    """More handlers are stuck past their deadline than ``Consumers.MaxAbandonedThreads``: a fresh process is needed."""


class Worker:
    def __init__(self, store: Store, settings: Settings, handlers: dict[str, Handler], name: str) -> None:
        self.name = name
        self._settings = settings
        self._handlers = handlers
        self._policies = {topic.name: topic_policy(settings, topic) for topic in settings.all_topics().values()}
        self._loop = asyncio.get_running_loop()
        self._held = Held()
        self._fresh_s = settings.consumers.lease_ms / 1000 * (1 - LEASE_MARGIN)
        self._stopping = False
        self.counts: Counter[str] = Counter()
        self._pools: dict[str, Pool] = {}
        self._capacities: dict[str, Capacity] = {}
        self._make_pools()
        work = Work(
            self._plan,
            self._receive,
            self._claimed,
            self._free,
            self._excess,
            self._suspects,
            self._lost,
            self._settled,
            self._reserved,
        )
        self._lines = [
            Line(
                partition,
                Deliveries(partition, waiting_client(settings.redis, name, 2.0), name, list(handlers)),
                settings,
                self._held,
                work,
            )
            for partition in store.partitions
        ]

    def _make_pools(self) -> None:
        consumers = self._settings.consumers
        kinds: tuple[tuple[bool, type[ThreadPool | AsyncPool], int], ...] = (
            (False, ThreadPool, consumers.threads),
            (True, AsyncPool, consumers.async_limit),
        )
        for asynchronous, make, limit in kinds:
            topics = [topic for topic, handler in self._handlers.items() if handler.asynchronous is asynchronous]
            if topics:
                pool = make(limit, self._ended, self._may_start)
                capacity = Capacity(topics, limit, consumers.batch_size)
                self._pools |= dict.fromkeys(topics, pool)
                self._capacities |= dict.fromkeys(topics, capacity)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, then stops in order. Raises ``TooManyAbandoned``, and what is no outage."""
        try:
            await self._run(stop)
        finally:
            await self.close()

    def _start_pools(self) -> None:
        for pool in set(self._pools.values()):
            pool.start()

    async def close(self) -> None:
        """Lets go of threads and connections. Does nothing more with Redis."""
        for pool in set(self._pools.values()):
            pool.stop()
        for line in self._lines:
            await line.deliveries.close()

    async def _run(self, stop: asyncio.Event) -> None:
        self._start_pools()
        opening = asyncio.create_task(self._open())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            await end(opening)
            return
        opening.result()
        tasks = [line.tasks() for line in self._lines]
        deadlines = asyncio.create_task(self._watch_deadlines())
        every: set[asyncio.Task[Any]] = {deadlines, stopping, *(task for line in tasks for task in line.values())}
        try:
            await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
            failed = next((task.exception() for task in every if task.done() and task.exception()), None)
            await self._stop(tasks)
            if failed is not None:
                raise failed
        finally:
            await end(*every)

    async def _open(self) -> None:
        for line in self._lines:
            await line.open()

    async def _stop(self, tasks: list[dict[str, asyncio.Task[None]]]) -> None:
        self._stopping = True
        started_s = time.monotonic()
        for of_line in tasks:
            for name in ("read", "claim"):
                await end(of_line[name])
        for line in self._lines:
            line.give_back_room()
        for delivery in self._unqueue(lambda _: True):
            self._drop(delivery)
        await self._try_to(self._hand_back)
        running = sum(capacity.held for capacity in set(self._capacities.values()))
        if running:
            logger.info("stopping: {} handlers run; waiting up to {} ms", running, self._settings.consumers.grace_ms)
        await self._finish_running(started_s + self._settings.consumers.grace_ms / 1000)
        await self._try_to(self._flush)
        if len(self._held):
            ids = ", ".join(delivery.record.id for delivery in self._held.all()[:SHOWN])
            logger.warning(
                "{} deliveries still run after the grace time: others take them when the lease ends ({})", len(self._held), ids
            )
        await self._try_to(self._leave)

    async def _try_to(self, work: Any) -> None:
        try:
            await asyncio.wait_for(work(), STOP_TRIES_S)
        except (Outage, TimeoutError) as error:
            logger.warning("while stopping: {}", error or "no answer in time")

    async def _hand_back(self) -> None:
        for line in self._lines:
            await line.hand_back_unknown()

    async def _flush(self) -> None:
        for line in self._lines:
            await line.settler.flush()

    async def _leave(self) -> None:
        for line in self._lines:
            await line.leave()

    async def _finish_running(self, until_s: float) -> None:
        busy = self._capacities.values()
        while time.monotonic() < until_s and any(capacity.held for capacity in busy):  # noqa: ASYNC110 - the pools' threads know no event
            await asyncio.sleep(0.01)

    # --- what the lines ask for ---------------------------------------------------------------------------------------

    def _plan(self) -> dict[str, int]:
        if self._stopping or any(line.settler.backlog > MAX_BACKLOG for line in self._lines):
            return {}
        plan: dict[str, int] = {}
        for capacity in set(self._capacities.values()):
            plan |= capacity.plan()
        return plan

    @contextmanager
    def _reserved(self, counts: dict[str, int]) -> Iterator[None]:
        """While deliveries are on their way to one line, the others do not plan with their room."""
        for topic, count in counts.items():
            self._capacities[topic].reserved[topic] += count
        try:
            yield
        finally:
            for topic, count in counts.items():
                self._capacities[topic].reserved[topic] -= count
            for line in self._lines:  # a reader may wait for this room, also that of the line that claimed in vain
                line.reader.room.set()

    def _free(self, topic: str) -> int:
        return 0 if self._stopping else self._capacities[topic].free

    def _excess(self, topic: str) -> int:
        return self._capacities[topic].excess

    def _suspects(self) -> int:
        return sum(1 for delivery in self._held.all() if delivery.suspect)

    def _receive(self, line: Line, entries: Sequence[Entry]) -> None:
        self.counts["read"] += len(entries)
        self._take(line, entries, first=False)

    def _claimed(self, line: Line, entries: Sequence[Entry]) -> None:
        self.counts["claimed"] += len(entries)
        for entry in entries:
            message_id = entry.record.split(b" ", 1)[0].decode("utf-8", "replace")[:128]
            logger.warning(
                "claimed from {}, whose lease ran out (loss {})", entry.lost_by, entry.deliveries - 1,
                id=message_id, topic=entry.topic, attempt=entry.attempts + 1,
            )  # fmt: skip
        self._take(line, entries, first=True)

    def _take(self, line: Line, entries: Sequence[Entry], *, first: bool) -> None:
        for entry in entries:
            known = self._held.at(entry.stream, entry.entry_id)
            if known is not None:  # claimed from ourselves: renewals had failed for a whole lease, and it still runs
                known.lease, known.confirmed_s, known.lost = lease_of(entry), entry.leased_s, False
                continue
            delivery = self._delivery(line, entry)
            if delivery is None:
                continue
            if self._held.add(delivery):
                self._begin(line, delivery, first=first)
            else:  # its last delivery still runs here, though the lease was lost: to be started when that has ended
                self.counts["put back"] += 1
                line.settler.report(put_back(entry, delivery.record.id, self._settings.consumers.lease_ms))

    def _delivery(self, line: Line, entry: Entry) -> Delivery | None:
        """The delivery of an entry; ``None`` where its record cannot be read: that is settled here."""
        message_id = entry.record.split(b" ", 1)[0].decode("utf-8", "replace")[:128]
        try:
            record = decode_record(entry.record)
        except UnreadableRecord as error:
            logger.error("a stream entry is no record; it goes to the dead letters: {}", error, id=message_id)
            line.settler.report(unreadable(entry, message_id, "its record cannot be read"))
            return None
        except NewerRecord as error:
            logger.warning("a record is of a newer release ({}); put back for a newer worker", error, id=message_id)
            line.settler.report(put_back(entry, message_id, NEWER_RECORD_RETRY_MS))
            return None
        policy = message_policy(self._policies[entry.topic], record.options)
        return Delivery(
            entry,
            lease_of(entry),
            record,
            policy,
            self._handlers[entry.topic],
            line.partition.clock,
            line.partition.number,
            entry.leased_s,
        )

    def _begin(self, line: Line, delivery: Delivery, *, first: bool) -> None:
        burial = spent(delivery, line.partition.clock.now_ms())
        if burial is not None:
            logger.error("now a dead letter: its workers were lost while it ran", id=delivery.record.id, topic=delivery.topic)
            delivery.end()
            line.settler.report(burial)
            return
        if _expired(delivery.record, line.partition.clock.now_ms()):
            delivery.end()
            line.settler.report(finished(delivery, "expired", line.partition.clock.now_ms(), self.name))
            return
        self._capacities[delivery.topic].taken(delivery.topic)
        self._pools[delivery.topic].put(delivery, first=first)

    def _lost(self, delivery: Delivery) -> None:
        """The lease is another's. What waits is dropped; what runs is left to end, and will not be settled."""
        self.counts["lost"] += 1
        delivery.lost = True
        logger.warning("lease lost", id=delivery.record.id, topic=delivery.topic, attempt=delivery.attempt)
        for waiting in self._unqueue(lambda one: one is delivery):
            self._drop(waiting)

    def _unqueue(self, unwanted: Any) -> list[Delivery]:
        return [one for pool in set(self._pools.values()) for one in pool.intake.remove(unwanted)]

    def _drop(self, delivery: Delivery) -> None:
        """Forgets a delivery that was not started."""
        self._held.remove(delivery)
        self._freed(delivery, None)

    def _freed(self, delivery: Delivery, duration_s: float | None) -> None:
        self._capacities[delivery.topic].freed(delivery.topic, duration_s)
        for line in self._lines:
            line.reader.room.set()

    # --- what the pools tell, in their threads ------------------------------------------------------------------------

    def _may_start(self, delivery: Delivery) -> bool:
        if not delivery.lost and time.monotonic() - delivery.confirmed_s < self._fresh_s:
            return True
        self.counts["stale"] += 1
        self._loop.call_soon_threadsafe(self._drop_stale, delivery, delivery.lease)
        return False

    def _drop_stale(self, delivery: Delivery, lease: Lease) -> None:
        if delivery.lease == lease:
            self._drop(delivery)
        else:  # claimed anew meanwhile: it may be started after all
            self._pools[delivery.topic].put(delivery, first=True)

    def _ended(self, delivery: Delivery, error: BaseException | None) -> bool:
        if not delivery.end():
            return False
        self._conclude(delivery, error)
        return True

    def _conclude(self, delivery: Delivery, error: BaseException | None) -> None:
        """Reports the end of a handler. Called once a delivery, from any thread."""
        ended_s = time.monotonic()
        try:
            settlement = verdict(delivery, error, delivery.clock.now_ms(), self.name)
        except Exception:  # noqa: BLE001 - else the delivery would be held, and its slot kept, for ever
            logger.exception("the end of a delivery cannot be told", id=delivery.record.id, topic=delivery.topic)
            settlement = verdict(delivery, RuntimeError("its outcome cannot be told"), delivery.clock.now_ms(), self.name)
        if error is not None:
            _log_failure(delivery, error, settlement)
        self._lines[delivery.partition].settler.report(settlement)
        self._loop.call_soon_threadsafe(self._freed, delivery, ended_s - delivery.started_s)

    def _settled(self, settlement: Settlement, took_effect: bool) -> None:  # noqa: FBT001 - called by the settler, with the script's verdict
        self.counts[settlement.outcome if took_effect else "fenced"] += 1
        delivery = self._held.at(settlement.lease.stream, settlement.lease.entry_id)
        if delivery is not None:
            self._held.remove(delivery)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    async def _watch_deadlines(self) -> None:
        """Ends what runs past its deadline. Raises ``TooManyAbandoned``."""
        while True:
            await asyncio.sleep(DEADLINE_TICK_S)
            now_s = time.monotonic()
            for delivery in self._held.all():
                if delivery.past_deadline(now_s) and delivery.end():
                    self.counts["deadline"] += 1
                    self._pools[delivery.topic].abandon(delivery)
                    error = DeadlineExceeded(f"the handler ran past its deadline of {delivery.policy.deadline_ms} ms")
                    self._conclude(delivery, error)
            if self.abandoned > self._settings.consumers.max_abandoned_threads:
                raise TooManyAbandoned(f"{self.abandoned} handlers are stuck past their deadline")

    @property
    def abandoned(self) -> int:
        return sum(pool.abandoned for pool in set(self._pools.values()))

    # --- health -------------------------------------------------------------------------------------------------------

    async def health(self) -> tuple[bool, dict[str, Any]]:
        """Ready while Redis answers."""
        reasons = []
        for line in self._lines:
            silence_s = time.monotonic() - line.reader.answered_s
            if silence_s > UNREADY_AFTER_S:
                reasons.append(f"no answer from Redis for {silence_s:.1f} s: {line.reader.watch.last}".removesuffix(": "))
        if self._stopping:
            reasons.append("stopping")
        details = {
            "consumer": self.name,
            "held": len(self._held),
            "abandoned": self.abandoned,
            "counts": dict(self.counts),
            "reasons": reasons,
        }
        return not reasons, details


def _expired(record: Record, now_ms: int) -> bool:
    return record.options.expires_ms is not None and now_ms >= record.options.expires_ms


def _log_failure(delivery: Delivery, error: BaseException, settlement: Settlement) -> None:
    what = {"retry": f"retried in {settlement.number} ms", "dead": "now a dead letter"}.get(settlement.outcome, "")
    about = {"id": delivery.record.id, "topic": delivery.topic, "attempt": delivery.attempt}
    if isinstance(error, (Retry, Dead)):  # asked for, not failed
        level = "INFO" if settlement.outcome == "retry" else "WARNING"
        logger.log(level, "the handler asked: {} ({})", what, describe(error), **about)
    else:
        logger.opt(exception=error).warning("the handler failed; the message is {}", what, **about)
