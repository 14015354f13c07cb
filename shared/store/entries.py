"""A delivery as the store and the consumers pass it between them: what was read, its lease, its end."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A delivery as read: the entry in the group's pending list is its lease."""

    stream: str
    topic: str
    entry_id: str
    deliveries: int
    due_ms: int
    attempts: int
    """Attempts spent before this delivery, lost ones that count included."""
    deferrals: int
    """Retries before this delivery that did not count."""
    record: bytes
    leased_s: float
    """Monotonic time before which the lease did not begin to run."""
    deferred_since_ms: int = 0
    """When the first of its deferrals was asked for; 0 where there was none."""
    lost_by: str = ""
    """The consumer whose lease ran out, of a delivery that was claimed."""
    flow: str | None = None
    """The flow key whose place it holds; empty where it is only its topic's, ``None`` where it holds none."""

    @property
    def entry_ms(self) -> int:
        """Redis's time when the entry was added."""
        return int(self.entry_id.partition("-")[0])


class Lease(msgspec.Struct, frozen=True, gc=False):
    """What a fence checks: the entry, and the delivery count that this consumer saw."""

    stream: str
    entry_id: str
    deliveries: int


class Follow(msgspec.Struct, frozen=True, gc=False):
    """A message that the end of a delivery makes: it is stored by the script that ends it, or not at all."""

    id: str
    lane: str
    """Where it waits for its due time."""
    due_ms: int
    score: str
    record: bytes
    labels: tuple[str, ...] = ()


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """The end of a delivery. ``outcome``: ``finished``, ``retry`` or ``dead``."""

    lease: Lease
    message_id: str
    topic: str
    outcome: str
    errors_exist: bool = False
    """Whether earlier attempts left errors behind."""
    text: str = ""
    """finished: what is kept; retry, dead: this attempt's error (both JSON)."""
    number: int = 0
    """finished: retention in ms; retry: delay in ms."""
    attempts: int = 0
    """retry: attempts spent, this one included where it counts."""
    deferrals: int = 0
    """retry: retries that did not count."""
    deferred_since_ms: int = 0
    """retry: when the first of them was asked for."""
    header: str = ""
    """dead: first line of the dead letter (JSON)."""
    record_bytes: int = 0
    """The size of what the script moves or keeps."""
    flow: str | None = None
    """The flow key whose place it gives back, or, of an ordered message that is retried, keeps; ``None`` where it holds none."""
    flow_key: str | None = None
    """retry: that of the message, which decides where it waits."""
    counts_as: Literal["delivered", "failed"] | None = None
    """In the rates of its topic."""
    labels: tuple[str, ...] = ()
    """Those of the message: where it is over it goes out of their index."""
    follows: tuple[Follow, ...] = ()
    """New messages, of its partition."""


def deferrals_text(settlement: Settlement) -> str:
    since = f"/{settlement.deferred_since_ms}" if settlement.deferred_since_ms else ""
    return f"{settlement.deferrals}{since}" if settlement.deferrals else ""


def parse_deferrals(value: Any) -> tuple[int, int]:
    """How many, and since when (ms)."""
    count, _, since_ms = (value or b"").partition(b"/")
    return number(count), number(since_ms)


def number(value: Any) -> int:
    """A field as the scripts take it: 0 where it is missing, or is none because a stranger wrote the entry."""
    try:
        return int(value or 0)
    except ValueError:
        return 0
