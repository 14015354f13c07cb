"""The client of the service's HTTP API, for Python programs that call it. Needs httpx2 and msgspec, and nothing else of this
repository.

::

    from client import Client

    with Client("http://localhost:3000") as client:
        client.schedule("reminders", body={"to": "Ada"}, delay="1h30m")

``AsyncClient`` has the same calls to await. docs/client.md tells about errors, retries and idempotency.
"""

from client.answers import (
    Accepted,
    Attempt,
    BatchAccepted,
    CallbackOf,
    Cancelled,
    DeadLetterDeleted,
    EchoAccepted,
    FlowKey,
    Health,
    Many,
    Message,
    Preview,
    PreviewedAttempt,
    Ready,
    Response,
    RetryPolicy,
    TimelineEvent,
    Topic,
    TopicHealth,
    Topics,
    TopicWorker,
)
from client.asynchronous import AsyncClient
from client.errors import (
    Changed,
    Conflict,
    Error,
    Failed,
    Invalid,
    NotFound,
    TooMany,
    Unauthorised,
    Unavailable,
    Unreachable,
)
from client.event_answers import Event, LogEntry
from client.fields import Callback, Durability, Duration, NewMessage, RetryOptions, Template, Time
from client.retry import Retry
from client.schedule_answers import Run, RunMade, Runs, Schedule, ScheduleDeleted, ScheduledMessage
from client.synchronous import Client

__all__ = [
    "Accepted",
    "AsyncClient",
    "Attempt",
    "BatchAccepted",
    "Callback",
    "CallbackOf",
    "Cancelled",
    "Changed",
    "Client",
    "Conflict",
    "DeadLetterDeleted",
    "Durability",
    "Duration",
    "EchoAccepted",
    "Error",
    "Event",
    "Failed",
    "FlowKey",
    "Health",
    "Invalid",
    "LogEntry",
    "Many",
    "Message",
    "NewMessage",
    "NotFound",
    "Preview",
    "PreviewedAttempt",
    "Ready",
    "Response",
    "Retry",
    "RetryOptions",
    "RetryPolicy",
    "Run",
    "RunMade",
    "Runs",
    "Schedule",
    "ScheduleDeleted",
    "ScheduledMessage",
    "Template",
    "Time",
    "TimelineEvent",
    "TooMany",
    "Topic",
    "TopicHealth",
    "TopicWorker",
    "Topics",
    "Unauthorised",
    "Unavailable",
    "Unreachable",
]
