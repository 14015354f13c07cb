"""The calls of ``/events`` and ``/log``; see ``client.message_calls``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from client.answers import Page
from client.call import Call, lists, looks
from client.event_answers import Event, LogEntry
from client.fields import Time, as_json

EventState = Literal[
    "scheduled", "changed", "cancelled", "ready", "running", "delivered", "retrying", "dead", "expired", "replayed", "deleted"
]


def events(
    *, topic: str | Iterable[str] = (), state: EventState | Iterable[EventState] = (), label: str | Iterable[str] = ()
) -> Call[Event]:
    """What happens to messages, as it happens: a view, of which some may be left out. It has no end.

    Of several topics, states or labels any will do. A connection that is lost is opened anew, and then gives an event
    ``resumed``; where that fails as often as ``retry`` says, the error is raised. A connection that is silent for 45 seconds is
    lost.
    """
    call = looks("GET", "/events", Event)
    return replace(call, query=_several(topic=topic, state=state, label=label), headers={"Accept": "text/event-stream"})


def list_log(
    *,
    message_id: str | Iterable[str] = (),
    state: EventState | Iterable[EventState] = (),
    topic: str | Iterable[str] = (),
    url: str | Iterable[str] = (),
    url_group: str | Iterable[str] = (),
    schedule: str | Iterable[str] = (),
    label: str | Iterable[str] = (),
    flow_key: str | Iterable[str] = (),
    at_from: Time | None = None,
    at_until: Time | None = None,
    page_size: int | None = None,
) -> Call[Page[LogEntry]]:
    """What happened to webhook messages, as much of it as is kept, the newest first: in pages of ``page_size`` (50; 500 at most).

    Of several of one kind any will do, and all kinds have to fit. Each page is repeated freely.
    """
    call = lists("/log", Page[LogEntry], limit=page_size, **as_json({"at_from": at_from, "at_until": at_until}))
    asked = _several(
        message_id=message_id,
        state=state,
        topic=topic,
        url=url,
        url_group=url_group,
        schedule=schedule,
        label=label,
        flow_key=flow_key,
    )
    return replace(call, query={**call.query, **asked})


def _several(**asked: str | Iterable[str]) -> dict[str, tuple[str, ...]]:
    query = {name: (given,) if isinstance(given, str) else tuple(given) for name, given in asked.items()}
    return {name: given for name, given in query.items() if given}
