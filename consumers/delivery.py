"""One delivery in this process, from its reading to its end."""

from __future__ import annotations

import threading
import time

import msgspec

from consumers.happenings import started
from consumers.message import Message
from consumers.registry import Handler
from shared.clock import RedisClock
from shared.events import UNHEARD, Outbox
from shared.policy import Policy
from shared.record import Record
from shared.store.entries import Entry, Lease


class Delivery(msgspec.Struct, eq=False):
    """Made by the reader or the reclaimer, run by a pool, ended once: by the handler or by its deadline."""

    topic: str
    entry: Entry
    lease: Lease
    record: Record
    policy: Policy
    handler: Handler
    clock: RedisClock
    partition: int
    confirmed_s: float
    """Monotonic time up to which the lease was surely held: its start, then each confirmed renewal."""
    started_s: float = 0.0
    """Monotonic time of the handler's start; 0 before it."""
    started_ms: int = 0
    lost: bool = False
    """Whether Redis has said that the lease is another's."""
    worker: str = ""
    result: object = None
    """What its handler returned."""
    events: Outbox = UNHEARD
    """Those of its partition."""
    _ending: threading.Lock = msgspec.field(default_factory=threading.Lock)

    @property
    def attempt(self) -> int:
        return self.entry.attempts + 1

    @property
    def suspect(self) -> bool:
        """From the third delivery on, the message itself may be what kills its workers."""
        return self.lease.deliveries >= 3

    def start(self) -> Message:
        """Notes the start and gives the handler its message. Start is never before the entry's own millisecond."""
        self.started_s = time.monotonic()
        self.started_ms = max(self.clock.now_ms(), self.entry.entry_ms)
        if self.events.wanted:  # the log is told at the end: what was not tried is nothing that happened
            self.events.add(started(self))
        record, options = self.record, self.record.options
        return Message(
            record.id,
            self.topic,
            record.body,
            record.content_type,
            self.attempt,
            self.entry.due_ms,
            self.started_ms,
            record.created_ms,
            options.headers,
            options.labels,
            options.trace,
            options.schedule,
            options.occurrence_ms,
            options.webhook,
        )

    def past_deadline(self, now_s: float) -> bool:
        return self.started_s > 0 and now_s >= self.started_s + self.policy.deadline_ms / 1000

    def hangs(self, now_s: float) -> bool:
        """Whether its handler runs past its deadline. One that has ended is held until it is settled, however long that takes."""
        return self.past_deadline(now_s) and not self.ended

    @property
    def ended(self) -> bool:
        """Whether its settlement is on its way: Redis may have let go of the lease already."""
        return self._ending.locked()

    def end(self) -> bool:
        """True for the first caller only: whoever gets it settles the delivery."""
        return self._ending.acquire(blocking=False)
