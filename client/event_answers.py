"""What a stream of events gives, and the log."""

from __future__ import annotations

from datetime import datetime

import msgspec

from client.answers import Answer, Response


class Event(Answer, frozen=True, kw_only=True):
    """Something that happened to a message, or to the stream: then it is ``dropped``, ``outage`` or ``resumed``."""

    event: str
    """scheduled, changed, cancelled, ready, running, delivered, retrying, dead, expired, replayed or deleted.

    ``dropped``: ``count`` events were left out before this one. ``outage``: Redis is out. ``resumed``: the stream goes on after
    an outage or a lost connection, and what happened meanwhile is not in it.
    """
    at: datetime
    topic: str = ""
    message_id: str = ""
    deliver_at: datetime | None = None
    """scheduled, changed, replayed, retrying: when it is due; of a retry to some milliseconds."""
    attempt: int | None = None
    worker: str = ""
    lateness_ms: int | None = None
    error: str = ""
    """The beginning of it."""
    labels: tuple[str, ...] = ()
    """Where whoever told the event had the message at hand."""
    count: int | None = None
    """ready: how many messages of the topic became it."""
    id: str = ""
    """The same in the streams of all producers; empty of what is about the stream."""


class LogEntry(Answer, frozen=True, kw_only=True):
    """Something that happened to a webhook message."""

    event: str
    """scheduled, changed, cancelled, running, delivered, retrying, dead, expired, replayed or deleted."""
    at: datetime
    topic: str
    message_id: str
    deliver_at: datetime | None = None
    """scheduled, changed, replayed, retrying: when it is due; of a retry to some milliseconds."""
    attempt: int | None = None
    worker: str = ""
    lateness_ms: int | None = None
    error: str = ""
    """The beginning of it."""
    labels: tuple[str, ...] = ()
    url: str = ""
    method: str = ""
    url_group: str = ""
    endpoint: str = ""
    """The name in its URL group of the endpoint that the URL is."""
    schedule: str = ""
    flow_key: str = ""
    caller_ip: str = ""
    max_attempts: int | None = None
    """Where the message asks for a number of its own."""
    callback: str = ""
    """Its URL."""
    failure_callback: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """scheduled: those of the message."""
    body: str = ""
    """scheduled: the first 4 KiB of it."""
    body_bytes: bytes | None = msgspec.field(default=None, name="body_base64")
    """Where the body is no text."""
    truncated: bool = False
    """Whether there was more of the body or of the headers."""
    response: Response | None = None
    """What the attempt was answered."""
