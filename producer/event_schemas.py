"""What the events of ``GET /events`` hold, and the query that chooses among them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from producer.schemas import Out, TimeOut
from shared.events import KINDS, Event
from shared.ids import TOPIC_PATTERN
from shared.times import format_ms

SIGNS = ("dropped", "outage", "resumed")
"""Events about the stream itself."""


class EventOut(Out, frozen=True, kw_only=True):
    """Something that happened to a message, or to this stream."""

    event: Annotated[str, Meta(description=f"{', '.join((*KINDS, *SIGNS[:-1]))} or {SIGNS[-1]}.", examples=["running"])]
    at: TimeOut
    topic: str = ""
    message_id: str = ""
    deliver_at: Annotated[
        TimeOut | UnsetType, Meta(description="scheduled, changed, replayed, retrying: when it is due; of a retry, about.")
    ] = UNSET
    attempt: int | UnsetType = UNSET
    worker: str = ""
    lateness_ms: Annotated[int | UnsetType, Meta(description="Of the start of the attempt.")] = UNSET
    error: Annotated[str, Meta(description="The beginning of it.")] = ""
    labels: Annotated[tuple[str, ...], Meta(description="Where whoever told the event had the message at hand.")] = ()
    count: Annotated[
        int | UnsetType, Meta(description="ready: how many messages became it. dropped: how many events were left out.")
    ] = UNSET


def several(schema: dict[str, object], text: str, most: int | None = None) -> tuple[dict[str, object], str]:
    """A parameter that may be given again, ``most`` times."""
    bound = {} if most is None else {"maxItems": most}
    return {"type": "array", "items": schema, **bound}, f"{text} Several: repeat it, any of them will do."


EVENT_QUERY = {
    "topic": several({"type": "string", "pattern": f"^{TOPIC_PATTERN}$"}, "Only of this topic."),
    "state": several({"type": "string", "enum": list(KINDS)}, "Only of this kind."),
    "label": several({"type": "string"}, "Only with this label; an event that carries none has none."),
}

_encode = msgspec.json.Encoder().encode


def event_text(event_id: str, event: Event) -> bytes:
    """An event as a stream has it (WHATWG HTML, "Server-sent events")."""
    shown = EventOut(
        event=event.event,
        at=format_ms(event.at_ms),
        topic=event.topic,
        message_id=event.message_id,
        deliver_at=format_ms(event.due_ms) if event.due_ms else UNSET,
        attempt=event.attempt or UNSET,
        worker=event.worker,
        lateness_ms=UNSET if event.lateness_ms is None else event.lateness_ms,
        error=event.error,
        labels=event.labels,
        count=event.count or UNSET,
    )
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.event.encode(), event_id.encode(), _encode(shown))


def sign_text(sign: str, at_ms: int, *, count: int = 0, error: str = "") -> bytes:
    """The same about the stream itself. It has no id."""
    shown = EventOut(event=sign, at=format_ms(at_ms), count=count or UNSET, error=error)
    return b"event: %b\ndata: %b\n\n" % (sign.encode(), _encode(shown))
