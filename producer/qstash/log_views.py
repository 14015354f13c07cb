"""What happened to webhook messages, in QStash's words. Pure: from events to entries of its log, from its states to events."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from producer.qstash.view_schemas import Headers
from producer.qstash.views import headers_out
from shared.about import About
from shared.events import Event, Kind

State = Literal["CREATED", "ACTIVE", "DELIVERED", "ERROR", "RETRY", "FAILED", "CANCELED"]
STATES: dict[Kind, tuple[State, ...]] = {
    "scheduled": ("CREATED",),
    "replayed": ("CREATED",),
    "running": ("ACTIVE",),
    "delivered": ("DELIVERED",),
    "retrying": ("ERROR", "RETRY"),
    "dead": ("ERROR", "FAILED"),
    "expired": ("FAILED",),
    "cancelled": ("CANCELED",),
}
"""The entries of each event, in the order in which they happened. Of other events there are none."""
ASKED: dict[str, frozenset[State]] = {
    **{state: frozenset({state}) for states in STATES.values() for state in states},
    "CANCELLED": frozenset({"CANCELED"}),
    "CANCEL_REQUESTED": frozenset(),  # it is honoured in the same moment
    "IN_PROGRESS": frozenset({"ACTIVE", "RETRY", "ERROR"}),
}
"""What a caller may ask for, and what it means."""
EVERY: frozenset[State] = frozenset(state for states in STATES.values() for state in states)
_WITH_ERROR = frozenset({"ERROR", "RETRY", "FAILED"})
_NO_ERROR = {"expired": "expired before it was delivered"}


class QstashLog(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An entry of the log. Times are milliseconds since the epoch."""

    time: int
    message_id: str
    state: State
    url: str
    error: str = ""
    next_delivery_time: int = 0
    method: str = ""
    topic_name: str = ""
    """The URL group."""
    endpoint_name: str = ""
    queue_name: str = ""
    schedule_id: str = ""
    header: Headers = field(default_factory=dict)
    body: str = ""
    """Base64."""
    response_status: int = 0
    response_header: Headers = field(default_factory=dict)
    """As a client reads them."""
    response_headers: Headers = field(default_factory=dict)
    """As QStash's documentation names them."""
    response_body: str = ""
    """Base64."""
    callback: str = ""
    failure_callback: str = ""
    max_retries: int | UnsetType = UNSET
    """Where the message asks for a number of its own."""
    retry_delay_expr: str = ""
    label: str = ""
    """The first of ``labels``."""
    labels: tuple[str, ...] = ()


def kinds_of(states: frozenset[State]) -> frozenset[Kind]:
    """The events that have an entry of one of those states."""
    return frozenset(kind for kind, entries in STATES.items() if states & set(entries))


def log_out(event: Event, states: frozenset[State]) -> Iterator[QstashLog]:
    """Its entries of those states, the newest first."""
    about = event.about or About()
    for state in reversed(STATES.get(event.event, ())):
        if state in states:
            yield _entry(event, about, state)


def _entry(event: Event, about: About, state: State) -> QstashLog:
    answered = state in _WITH_ERROR or state == "DELIVERED"
    headers = headers_out(about.response_headers.items()) if answered else {}
    return QstashLog(
        time=event.at_ms,
        message_id=event.message_id,
        state=state,
        url=about.url,
        error=(event.error or _NO_ERROR.get(event.event, "")) if state in _WITH_ERROR else "",
        next_delivery_time=event.due_ms if state in {"CREATED", "RETRY"} else 0,
        method=about.method,
        topic_name=about.group,
        endpoint_name=about.endpoint,
        queue_name=about.queue,
        schedule_id=about.schedule,
        header=headers_out(about.headers.items()),
        body=base64.b64encode(about.body).decode(),
        response_status=about.status if answered else 0,
        response_header=headers,
        response_headers=headers,
        response_body=base64.b64encode(about.response_body).decode() if answered else "",
        callback=about.callback,
        failure_callback=about.failure_callback,
        max_retries=about.max_attempts - 1 if about.max_attempts else UNSET,
        retry_delay_expr=about.retry_delay,
        label=event.labels[0] if event.labels else "",
        labels=event.labels,
    )
