"""What calls may carry, as types, and how Python values become the JSON of the API.

It checks nothing that the service checks: that answers with the field at fault, and knows its own release best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Required, TypedDict

Time = datetime | str | int | float
"""A ``datetime`` with its time zone; ISO 8601 text; or a number since 1970: milliseconds from 1e11 on, else seconds."""
Duration = timedelta | str | int | float
"""A ``timedelta``, text such as ``1d2h30m10s250ms``, or seconds."""
Durability = Literal["memory", "fsync", "replica"]
"""Redis has it, it is on Redis's disk, or Redis's replicas have it."""
Priority = Literal["high", "normal", "low"]

_MICROSECOND = timedelta(microseconds=1)
_NESTED = frozenset({"message", "callback", "failure_callback"})
"""Fields with fields of their own that have Python values."""


class RetryOptions(TypedDict, total=False):
    """What a message asks for in place of its topic's policy."""

    max_attempts: int
    """In all, the first included."""
    initial_ms: int
    max_ms: int
    factor: float
    jitter: float
    """The share, 0 to 1, by which a wait varies."""
    delays_ms: Sequence[int]
    """The waits themselves, in place of ``initial_ms``, ``max_ms`` and ``factor``; the last holds for all after it."""


class Callback(TypedDict, total=False):
    """Where to tell what became of a webhook."""

    url: Required[str]
    method: str | None
    headers: Mapping[str, str] | None
    retry: RetryOptions | None
    delay: Duration | None
    deadline_ms: int | None


class ContentFields(TypedDict, total=False):
    """What to deliver and by which policy; ``None`` is the same as absent, but for ``body``, where it is JSON's ``null``."""

    body: object
    """Text is kept as text, bytes as bytes, anything else as JSON."""
    content_type: str | None
    expires_after: Duration | None
    """It is not delivered from so long after its due time on."""
    spread: Duration | None
    """The window after the due time in which it is delivered, evenly spread."""
    retry: RetryOptions | None
    deadline_ms: int | None
    """How long its handler may run."""
    retention_ms: int | None
    """How long its outcome is kept; 0 keeps none."""
    labels: Sequence[str] | None
    headers: Mapping[str, str] | None
    url: str | None
    """Of topic ``webhook``, as are the next three: where it is sent."""
    method: str | None
    callback: Callback | None
    """Told of each attempt."""
    failure_callback: Callback | None
    """Told when it became a dead letter."""
    flow_key: str | None
    ordered: bool | None
    """It keeps the place of its flow key until it is over, through retries."""
    priority: Priority | None
    """Among the messages of its topic: high before normal before low, by weights, so that none starves."""


class WhenFields(TypedDict, total=False):
    """At most one of ``deliver_at``, ``delay``, and ``deliver_at_local`` with its ``timezone``; none of them: at once."""

    deliver_at: Time | None
    delay: Duration | None
    """From the moment on at which the service has the request."""
    deliver_at_local: datetime | str | None
    """Without a time zone: as the clocks of ``timezone`` show it."""
    timezone: str | None
    """An IANA name, such as ``Europe/Berlin``."""


class MessageFields(ContentFields, WhenFields, total=False):
    """A message, but for its topic."""

    expires_at: Time | None
    """It is not delivered from then on. After the due time, and not beside ``expires_after``."""


class NewMessage(MessageFields):
    """A message of a batch."""

    topic: str


class Template(ContentFields):
    """What each run of a recurring schedule delivers."""

    topic: str


class ChangeFields(WhenFields, total=False):
    """What to change of a message that waits; what is absent stays."""

    body: object
    content_type: str | None
    priority: Priority | None


class RuleFields(TypedDict, total=False):
    """When a recurring schedule runs: exactly one of ``cron`` and ``every``."""

    cron: str | None
    every: Duration | None
    timezone: str | None
    """Of ``cron``; UTC where there is none."""
    start: Time | None
    end: Time | None


class ScheduleFields(RuleFields, total=False):
    """A whole recurring schedule."""

    message: Required[Template]
    max_runs: int | None
    overlap: Literal["allow", "skip"]
    catch_up: Literal["all", "latest", "none"]
    catch_up_within: Duration | None
    paused: bool


class ScheduleChangeFields(RuleFields, total=False):
    """What to change of a recurring schedule; what is absent stays, ``None`` takes it away."""

    message: Template
    max_runs: int | None
    overlap: Literal["allow", "skip"]
    catch_up: Literal["all", "latest", "none"]
    catch_up_within: Duration | None


class RunsFields(RuleFields, total=False):
    """A rule to try."""

    count: int | None
    """How many runs to show, 10 where it is absent, 1,000 at most."""
    after: Time | None
    """Runs after it; now where it is absent."""


class FilterFields(TypedDict, total=False):
    """Which messages; what is absent does not matter. Both ends of a range are included."""

    topic: str | None
    label: str | None
    due_from: Time | None
    due_until: Time | None
    created_from: Time | None
    created_until: Time | None


class DeadLetterFilterFields(FilterFields, total=False):
    """Which dead letters."""

    error: str | None
    """A text in its reason or its last error."""
    died_from: Time | None
    died_until: Time | None


Order = Literal["oldest", "newest"]
State = Literal["waiting", "scheduled", "retrying", "ready", "running", "dead", "delivered", "expired", "cancelled"]
"""``waiting`` is both ``scheduled`` and ``retrying``."""


class ReplayFields(WhenFields, total=False):
    """When to deliver a dead letter again, and what of it is to be another."""

    body: object
    content_type: str | None
    retry: RetryOptions | None
    deadline_ms: int | None
    priority: Priority | None


def as_json(fields: Mapping[str, object], *, keep_none: bool = False) -> dict[str, object]:
    """The fields as the API has them. Raises ``ValueError`` for a time of which it is not clear when it is."""
    found: dict[str, object] = {}
    for name, value in fields.items():
        if name == "body":
            found["body_base64" if isinstance(value, bytes | bytearray | memoryview) else "body"] = value
        elif isinstance(value, Mapping) and name in _NESTED:  # the message of an echo is a text
            found[name] = as_json(value)
        elif keep_none or value is not None:
            found[name] = _plain(name, value)
    return found


def _plain(name: str, value: object) -> object:
    if isinstance(value, datetime):
        return _time(name, value)
    return _duration(value) if isinstance(value, timedelta) else value


def _time(name: str, value: datetime) -> str:
    local = name == "deliver_at_local"
    if local is not (value.tzinfo is None):
        expected = "without a time zone, which stands in timezone" if local else "with a time zone: this one could mean any"
        raise ValueError(f"{name}: expected a datetime {expected}; got {value!r}")
    return value.isoformat()


def _duration(value: timedelta) -> str:
    """In whole milliseconds, rounded up as the service does, so that nothing is early."""
    return f"{-(-(value // _MICROSECOND) // 1000)}ms"
