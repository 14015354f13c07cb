"""What a stream of events gives."""

from __future__ import annotations

from datetime import datetime

from client.answers import Answer


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
