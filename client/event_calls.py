"""The call of ``/events``; see ``client.message_calls``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from client.call import Call, looks
from client.event_answers import Event

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
    asked = {"topic": topic, "state": state, "label": label}
    query = {name: (given,) if isinstance(given, str) else tuple(given) for name, given in asked.items()}
    call = looks("GET", "/events", Event)
    return replace(call, query={name: given for name, given in query.items() if given}, headers={"Accept": "text/event-stream"})
