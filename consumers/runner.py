"""Runs deliveries: takes in what the lines read, lets each start while its lease is surely held, tells how each ended.

Methods marked so are called in the pools' threads; all others in the process's own event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from consumers.bell import Bell, tell
from consumers.delivery import Delivery
from consumers.happenings import tell_end
from consumers.held import Held
from consumers.line import Line, Work
from consumers.outcomes import Dead, Retry
from consumers.pools import Pools
from consumers.registry import Handler
from consumers.verdict import describe, finished, lease_of, put_back, spent, unreadable, verdict
from shared.logs import logger
from shared.policy import message_policy, topic_policy
from shared.record import NewerRecord, UnreadableRecord, decode_record
from shared.settings import Settings
from shared.store.entries import Entry, Lease, Settlement

DEADLINE_TICK_S = 0.05
NEWER_RECORD_RETRY_MS = 5_000
SETTLING_MS = 5
"""An answer of Redis takes less, mostly."""
MAX_BACKLOG = 2_000
"""Ended deliveries that wait to be settled; with more the worker reads nothing new."""
LEASE_MARGIN = 0.25
"""A handler is started only while its last confirmed renewal is younger than the lease less this share of it."""


class DeadlineExceeded(Exception):
    """The handler ran past its deadline."""


class TooManyAbandoned(Exception):
    """More handlers are stuck past their deadline than ``Consumers.MaxAbandonedThreads``: a fresh process is needed."""


class Runner:
    def __init__(self, settings: Settings, handlers: dict[str, Handler], name: str) -> None:
        self._settings = settings.consumers
        self._handlers = handlers
        self._name = name
        self._policies = {topic.name: topic_policy(settings, topic) for topic in settings.all_topics().values()}
        self._loop = asyncio.get_running_loop()
        self._fresh_s = settings.consumers.lease_ms / 1000 * (1 - LEASE_MARGIN)
        self.held = Held()
        self._over = deque[tuple[Delivery, float]]()
        """What handlers are done with and how long they took (s): their slots are free again."""
        self._bell = Bell(self._loop, self._free_slots)
        self.pools = Pools(settings.consumers, handlers, self._ended, self._may_start)
        self.lines: list[Line] = []
        """One a partition; given by the worker once they are made."""
        self.counts: Counter[str] = Counter()
        self.stopping = False
        self._held_up = False
        """Whether nothing is read because too much waits to be settled: then a settlement makes room."""

    def work(self) -> Work:
        """What a line needs of this."""
        return Work(
            self.plan,
            self.receive,
            self._claimed,
            self.free,
            lambda topic: self.pools.capacities[topic].excess,
            self.suspects,
            self._lost,
            self._settled,
            self.reserved,
            self.has_room,
            self.pools.has_room_soon,
        )

    def plan(self) -> dict[str, int]:
        """How many deliveries of each topic to ask for."""
        self._held_up = any(line.settler.backlog > MAX_BACKLOG for line in self.lines)
        return {} if self.stopping or self._held_up else self.pools.plan()

    @contextmanager
    def reserved(self, counts: dict[str, int]) -> Iterator[None]:
        try:
            with self.pools.reserved(counts):
                yield
        finally:
            self._room(freed=False)  # a reader may wait for it, also that of the line that claimed in vain

    def has_room(self, topic: str) -> bool:
        """Whether one more of a topic has a slot, whatever is kept for others, or is finished soon."""
        return self.pools.capacities[topic].excess == 0 or topic in self.plan()

    def free(self, topic: str) -> int:
        return 0 if self.stopping else self.pools.capacities[topic].free

    def suspects(self) -> int:
        return sum(1 for delivery in self.held.all() if delivery.suspect)

    def receive(self, line: Line, entries: Sequence[Entry]) -> None:
        self.counts["read"] += len(entries)
        self._take(line, entries, first=False)

    def _claimed(self, line: Line, entries: Sequence[Entry]) -> None:
        self.counts["claimed"] += len(entries)
        for entry in entries:
            logger.warning(
                "claimed from {}, whose lease ran out (loss {})", entry.lost_by, entry.deliveries - 1,
                id=_id_in(entry), topic=entry.topic, attempt=entry.attempts + 1,
            )  # fmt: skip
        self._take(line, entries, first=True)

    def _take(self, line: Line, entries: Sequence[Entry], *, first: bool) -> None:
        for entry in entries:
            known = self.held.at(entry.stream, entry.entry_id)
            if known is not None:  # claimed from ourselves: renewals had failed for a whole lease, and it still runs
                known.lease, known.confirmed_s, known.lost = lease_of(entry), entry.leased_s, False
                continue
            delivery = self._delivery(line, entry)
            if delivery is None:
                continue
            if self.held.add(delivery):
                self._begin(line, delivery, first=first)
            else:
                self.counts["put back"] += 1
                line.settler.report(put_back(entry, delivery.record.id, self._until_gone_ms(delivery.record.id)))

    def _until_gone_ms(self, message_id: str) -> int:
        """How long, about, its delivery before this one is held here."""
        before = self.held.of(message_id)
        if before is not None and not before.ended:  # it still runs, though its lease was lost
            return self._settings.lease_ms
        return SETTLING_MS  # a retry that was sooner here than the answer to its settlement

    def _delivery(self, line: Line, entry: Entry) -> Delivery | None:
        """The delivery of an entry; ``None`` where its record cannot be read: that is settled here."""
        try:
            record = decode_record(entry.record)
        except UnreadableRecord as error:
            message_id = _id_in(entry)
            logger.error("a stream entry is no record; it goes to the dead letters: {}", error, id=message_id)
            line.settler.report(unreadable(entry, message_id, "its record cannot be read"))
            return None
        except NewerRecord as error:
            message_id = _id_in(entry)
            logger.warning("a record is of a newer release ({}); put back for a newer worker", error, id=message_id)
            line.settler.report(put_back(entry, message_id, NEWER_RECORD_RETRY_MS))
            return None
        policy = message_policy(self._policies[entry.topic], record.options)
        return Delivery(
            entry.topic,
            entry,
            lease_of(entry),
            record,
            policy,
            self._handlers[entry.topic],
            line.partition.clock,
            line.partition.number,
            entry.leased_s,
            worker=self._name,
            events=line.partition.events,
        )

    def _begin(self, line: Line, delivery: Delivery, *, first: bool) -> None:
        burial = spent(delivery, line.partition.clock.now_ms())
        if burial is not None:
            logger.error("now a dead letter: its workers were lost while it ran", id=delivery.record.id, topic=delivery.topic)
            delivery.end()
            line.settler.report(_followed(delivery, burial, line.partition.clock.now_ms()))
            return
        if _expired(delivery):
            self._expire(delivery)
            return
        self.pools.take(delivery, first=first)

    def _expire(self, delivery: Delivery) -> None:
        """From any thread."""
        delivery.end()
        settlement = finished(delivery, "expired", delivery.clock.now_ms(), self._name)
        self.lines[delivery.partition].settler.report(settlement)

    def _lost(self, delivery: Delivery) -> None:
        """The lease is another's. What waits is dropped; what runs is left to end, and will not be settled."""
        self.counts["lost"] += 1
        delivery.lost = True
        logger.warning("lease lost", id=delivery.record.id, topic=delivery.topic, attempt=delivery.attempt)
        for waiting in self.pools.remove(lambda one: one is delivery):
            self._drop(waiting)

    def drop_waiting(self) -> None:
        """Forgets everything that was not started."""
        for delivery in self.pools.remove(lambda _: True):
            self._drop(delivery)

    def _drop(self, delivery: Delivery) -> None:
        self.held.remove(delivery)
        self._freed(delivery, None)

    def _freed(self, delivery: Delivery, duration_s: float | None) -> None:
        self.pools.freed(delivery, duration_s)
        self._room()

    def _room(self, *, freed: bool = True) -> None:
        """``freed``: not only given back by a reader or a claim that kept it."""
        for line in self.lines:
            line.reader.room.set()
            if freed:
                line.reader.freed.set()

    def _may_start(self, delivery: Delivery) -> bool:
        """In a pool's thread."""
        if delivery.lost or time.monotonic() - delivery.confirmed_s >= self._fresh_s:
            self.counts["stale"] += 1
            tell(self._loop, self._drop_stale, delivery, delivery.lease)
            return False
        if _expired(delivery):  # while it waited for its slot
            self._expire(delivery)
            tell(self._loop, self._freed, delivery, None)
            return False
        return True

    def _drop_stale(self, delivery: Delivery, lease: Lease) -> None:
        if delivery.lease == lease:
            self._drop(delivery)
        else:  # claimed anew meanwhile: it may be started after all
            self.pools.put(delivery, first=True)

    def _ended(self, delivery: Delivery, error: BaseException | None) -> bool:
        """In a pool's thread."""
        if not delivery.end():
            return False
        self._conclude(delivery, error)
        return True

    def _conclude(self, delivery: Delivery, error: BaseException | None) -> None:
        """Reports the end of a handler. Called once a delivery, from any thread."""
        ended_s, ended_ms = time.monotonic(), delivery.clock.now_ms()
        try:
            settlement = _followed(delivery, verdict(delivery, error, ended_ms, self._name), ended_ms)
        except Exception:  # noqa: BLE001 - else the delivery would be held, and its slot kept, for ever
            logger.exception("the end of a delivery cannot be told", id=delivery.record.id, topic=delivery.topic)
            settlement = verdict(delivery, RuntimeError("its outcome cannot be told"), delivery.clock.now_ms(), self._name)
        if error is not None:
            _log_failure(delivery, error, settlement)
        self.lines[delivery.partition].settler.report(settlement)
        self._over.append((delivery, ended_s - delivery.started_s))
        self._bell.ring()

    def _free_slots(self) -> None:
        while self._over:
            self.pools.freed(*self._over.popleft())
        self._room()

    def _settled(self, settlement: Settlement, took_effect: bool) -> None:  # noqa: FBT001 - called by the settler, with the script's verdict
        self.counts[settlement.outcome if took_effect else "fenced"] += 1
        delivery = self.held.at(settlement.lease.stream, settlement.lease.entry_id)
        if delivery is not None:
            self.held.remove(delivery)
            if took_effect and delivery.events.wants(delivery.topic):
                tell_end(delivery, settlement)
        if self._held_up:
            self._held_up = False
            self._room()

    async def watch_deadlines(self) -> None:
        """Ends what runs past its deadline. Raises ``TooManyAbandoned``."""
        while True:
            await asyncio.sleep(DEADLINE_TICK_S)
            now_s = time.monotonic()
            for delivery in self.held.all():
                if delivery.past_deadline(now_s) and delivery.end():
                    self.counts["deadline"] += 1
                    self.pools.by_topic[delivery.topic].abandon(delivery)
                    error = DeadlineExceeded(f"the handler ran past its deadline of {delivery.policy.deadline_ms} ms")
                    self._conclude(delivery, error)
            if self.pools.abandoned > self._settings.max_abandoned_threads:
                raise TooManyAbandoned(f"{self.pools.abandoned} handlers are stuck past their deadline")


def _followed(delivery: Delivery, settlement: Settlement, ended_ms: int) -> Settlement:
    """With the messages that this end makes."""
    follows = delivery.handler.follows
    if follows is None:
        return settlement
    try:
        new = follows(delivery, settlement, ended_ms)
    except Exception:  # noqa: BLE001 - the end of a delivery is told, whatever is wrong with what it makes
        logger.exception("what the end of a delivery makes cannot be told", id=delivery.record.id, topic=delivery.topic)
        return settlement
    size_bytes = settlement.record_bytes + sum(len(one.record) for one in new)
    return msgspec.structs.replace(settlement, follows=new, record_bytes=size_bytes) if new else settlement


def _id_in(entry: Entry) -> str:
    """What stands where a record has its id, for people."""
    return entry.record.split(b" ", 1)[0].decode("utf-8", "replace")[:128]


def _expired(delivery: Delivery) -> bool:
    expires_ms = delivery.record.options.expires_ms
    return expires_ms is not None and delivery.clock.now_ms() >= expires_ms


def _log_failure(delivery: Delivery, error: BaseException, settlement: Settlement) -> None:
    what = {"retry": f"retried in {settlement.number} ms", "dead": "now a dead letter"}.get(settlement.outcome, "")
    about = {"id": delivery.record.id, "topic": delivery.topic, "attempt": delivery.attempt}
    if isinstance(error, (Retry, Dead)):  # asked for, not failed
        level = "WARNING" if settlement.outcome != "retry" else "INFO" if settlement.text else "DEBUG"  # no attempt: at any rate
        logger.log(level, "the handler asked: {} ({})", what, describe(error), **about)
    else:
        logger.opt(exception=error).warning("the handler failed; the message is {}", what, **about)
