"""What the service answers, as it is. Unknown fields of a later release are ignored; times are in UTC, to a millisecond."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that do not apply have their defaults."""


class Accepted(Answer, frozen=True, kw_only=True):
    """A message that is stored."""

    id: str
    topic: str
    status: str
    deliver_at: datetime
    deliver_at_local: datetime | None = None
    """The same with the offset of the zone that was asked for."""
    expires_at: datetime | None = None
    durability: str
    deduplicated: bool = False
    """Whether an earlier request with the same idempotency key stored it."""


class BatchAccepted(Answer, frozen=True, kw_only=True):
    """Messages that are stored, all of them."""

    count: int
    ids: tuple[str, ...]
    """In the order of the request."""
    durability: str
    deduplicated: bool = False


class EchoAccepted(Answer, frozen=True, kw_only=True):
    """An echo that is stored."""

    id: str
    status: str
    time: datetime
    message: str
    durability: str
    deduplicated: bool = False


class PreviewedAttempt(Answer, frozen=True, kw_only=True):
    """An attempt that is made where all before it fail, each at once."""

    attempt: int
    earliest: datetime
    latest: datetime


class Preview(Answer, frozen=True, kw_only=True):
    """What would become of a message."""

    topic: str
    deliver_at: datetime
    deliver_at_latest: datetime | None = None
    """The end of its window, where it is spread."""
    deliver_at_local: datetime | None = None
    expires_at: datetime | None = None
    deadline_ms: int
    attempts: tuple[PreviewedAttempt, ...]


class Response(Answer, frozen=True, kw_only=True):
    """What a webhook was answered."""

    status: int
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: str = ""
    body_bytes: bytes | None = msgspec.field(default=None, name="body_base64")
    """Where the body is no text."""
    truncated: bool = False


class Attempt(Answer, frozen=True, kw_only=True):
    """An attempt that failed."""

    attempt: int
    started_at: datetime
    ended_at: datetime
    error: str
    worker: str
    retry_at: datetime | None = None
    """When the next attempt was due; ``None`` where none was to follow. Exact for the newest one of a message that is not over,
    right to a few milliseconds for others."""
    response: Response | None = None
    """Only of a webhook that was answered."""


class TimelineEvent(Answer, frozen=True, kw_only=True):
    """Something that happened to a message, or is to happen."""

    at: datetime
    event: str
    """created, due, dispatched, attempt, delivered, expired, cancelled or dead."""
    attempt: int | None = None
    until: datetime | None = None
    """When the attempt ended."""
    worker: str = ""
    error: str = ""
    retry_at: datetime | None = None
    """Of a failed attempt, when the next one was due."""


class RetryPolicy(Answer, frozen=True, kw_only=True):
    """What a message asked for in place of its topic's policy."""

    max_attempts: int | None = None
    initial_ms: int | None = None
    max_ms: int | None = None
    factor: float | None = None
    jitter: float | None = None
    delays_ms: tuple[int, ...] | None = None


class CallbackOf(Answer, frozen=True, kw_only=True):
    """Where it is told what becomes of a webhook."""

    url: str
    method: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    retry: RetryPolicy | None = None
    delay: str = ""
    """A duration such as ``10s``."""
    deadline_ms: int | None = None


class Message(Answer, frozen=True, kw_only=True):
    """A message as it is at the moment of the answer."""

    id: str
    topic: str
    status: str
    """scheduled, ready, running, retrying, delivered, dead, cancelled or expired."""
    deliver_at: datetime
    """When it is, or was, due; of a retried message, when its next or last attempt is or was."""
    attempts: int
    created_at: datetime | None = None
    started_at: datetime | None = None
    settled_at: datetime | None = None
    lateness_ms: int | None = None
    worker: str = ""
    reason: str = ""
    """Why it is dead."""
    errors: tuple[Attempt, ...] = ()
    response: Response | None = None
    """Of a webhook that was delivered."""
    body: Any = None
    """Text, or the JSON that was sent. Absent where the body is bytes, and of a message that is over."""
    body_bytes: bytes | None = msgspec.field(default=None, name="body_base64")
    content_type: str = ""
    expires_at: datetime | None = None
    retry: RetryPolicy | None = None
    deadline_ms: int | None = None
    retention_ms: int | None = None
    labels: tuple[str, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    url: str = ""
    """Of a webhook, as are the next five."""
    method: str = ""
    callback: CallbackOf | None = None
    failure_callback: CallbackOf | None = None
    url_group: str = ""
    callback_of: str = ""
    """The message of which this one tells."""
    flow_key: str = ""
    ordered: bool = False
    priority: str = ""
    """Where the message or its topic asks for one."""
    schedule: str = ""
    """The recurring schedule that made it."""
    occurrence: datetime | None = None
    """Which of its runs it is."""
    why: str = ""
    """Why it has not started, where it is late by more than a second; not in lists."""
    timeline: tuple[TimelineEvent, ...] = ()
    """In the order of time; not in lists."""
    durability: str | None = None
    """How safe the change is that was asked for."""
    etag: str = ""
    """For ``if_match``; empty in a list and after a replay."""


class Cancelled(Answer, frozen=True, kw_only=True):
    """A message that will not be delivered."""

    id: str
    status: str
    durability: str


class Page(Answer, Generic[Item], frozen=True, kw_only=True):
    """A page of a list."""

    items: tuple[Item, ...] = ()
    next_cursor: str = ""
    """Empty on the last page."""


class Many(Answer, frozen=True, kw_only=True):
    """What a change of many by filter did."""

    affected: int
    dry_run: bool
    next_cursor: str = ""
    """Not empty: there may be more, and the same call with it as ``cursor`` goes on."""


class DeadLetterDeleted(Answer, frozen=True, kw_only=True):
    """A dead letter that is gone for ever."""

    id: str
    status: str
    durability: str | None = None
    """``None`` where an earlier try may have deleted it."""


class TopicWorker(Answer, frozen=True, kw_only=True):
    """A worker that reads a topic."""

    name: str
    running: int
    idle_ms: int
    """Since it last asked for something."""


class Topic(Answer, frozen=True, kw_only=True):
    """A topic as it is at the moment of the answer."""

    topic: str
    configured: bool
    paused: bool
    scheduled: int
    overdue: int
    """Of these, those that are due."""
    limited: int = 0
    """Of these, those that wait for a place of their flow key."""
    ready: int
    running: int
    lateness_ms: int
    """Of the oldest that is due and has not started."""
    accepted_per_second: float = 0.0
    """In the last minute, by all processes, like the other two."""
    delivered_per_second: float = 0.0
    failed_per_second: float = 0.0
    """Attempts that failed, whether they are retried or not."""
    next_due_at: datetime | None = None
    workers: tuple[TopicWorker, ...] = ()


class Topics(Answer, frozen=True, kw_only=True):
    """Those of the settings, and others that hold messages."""

    items: tuple[Topic, ...] = ()


class FlowKey(Answer, frozen=True, kw_only=True):
    """A flow key as it is at the moment of the answer."""

    topic: str
    flow_key: str
    rate: int | None = None
    period: str = ""
    concurrency: int | None = None
    own_limit: bool
    """Whether the limit was set for it; else it is that of the settings."""
    paused: bool
    running: int
    """Let through and not over."""
    waiting: int
    recent: int
    """Let through within the last period."""


class TopicHealth(Answer, frozen=True, kw_only=True):
    """How many messages a topic has."""

    topic: str
    scheduled: int
    ready: int
    running: int
    configured: bool


class Health(Answer, frozen=True, kw_only=True):
    """How the service is. A caller without a known API key learns the status alone."""

    status: str
    """ok or unready."""
    version: str
    server: str = ""
    clock_difference_ms: int = 0
    topics: tuple[TopicHealth, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Ready(Answer, frozen=True, kw_only=True):
    """Whether it is ready, and why it is not."""

    status: str
    """ok or unready."""
    reasons: tuple[str, ...] = ()
