"""Deliveries, handlers and policies made by hand, for the parts that know no Redis."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

from consumers.delivery import Delivery
from consumers.message import Message
from consumers.registry import ERROR_BYTES, Handler
from consumers.verdict import lease_of
from shared.backoff import Backoff
from shared.clock import RedisClock
from shared.ids import make_id
from shared.policy import Policy
from shared.record import NO_OPTIONS, Options, Record, encode_record
from shared.store.entries import Entry
from shared.store.keys import Keys

DUE_MS = 1_790_000_000_000
POLICY = Policy(
    max_attempts=5,
    backoff=Backoff(initial_ms=1_000, max_ms=60_000, factor=2.0, jitter=0.0),
    deadline_ms=60_000,
    retention_ms=3_600_000,
)
_numbers = count(1)


def nothing(message: Message) -> None:
    """A handler that succeeds."""


def make_handler(function: Callable[[Message], object] = nothing, *, error_bytes: int = ERROR_BYTES) -> Handler:
    import inspect

    return Handler(function, inspect.iscoroutinefunction(function), error_bytes)


def make_record(topic: str = "alpha", body: bytes = b"hello", options: Options = NO_OPTIONS, due_ms: int = DUE_MS) -> Record:
    message_id = make_id(topic, 0, due_ms, next(_numbers))
    return Record(message_id, due_ms - 5_000, "text", body, options)


def make_delivery(
    function: Callable[[Message], object] = nothing,
    *,
    topic: str = "alpha",
    attempts: int = 0,
    deferrals: int = 0,
    deliveries: int = 1,
    policy: Policy = POLICY,
    error_bytes: int = ERROR_BYTES,
    **record: Any,
) -> Delivery:
    """A delivery as read by a worker, its lease just begun."""
    made = make_record(topic, **record)
    now_s = time.monotonic()
    entry = Entry(
        Keys("made", 0).stream(topic),
        topic,
        f"{DUE_MS + 3}-{next(_numbers)}",
        deliveries,
        DUE_MS,
        attempts,
        deferrals,
        encode_record(made),
        now_s,
    )
    handler = make_handler(function, error_bytes=error_bytes)
    return Delivery(topic, entry, lease_of(entry), made, policy, handler, RedisClock(), 0, now_s)
