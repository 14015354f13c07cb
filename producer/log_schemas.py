"""What ``GET /log`` takes and answers."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from producer.event_schemas import several
from producer.schemas import TIME_QUERY, Base64, Out, ResponseOut, TimeOut
from shared.events import KINDS
from shared.ids import TOPIC_PATTERN
from shared.store.log import CURSOR

PAGE, LARGEST_PAGE = 50, 500
MOST_VALUES = 100
"""Of one parameter."""
_TIME = (TIME_QUERY, "A time as in `deliver_at`; included.")
SEVERAL: dict[str, tuple[dict[str, Any], str]] = {
    "message_id": several({"type": "string"}, "Only of this message.", MOST_VALUES),
    "state": several({"type": "string", "enum": list(KINDS)}, "Only of this kind.", MOST_VALUES),
    "topic": several({"type": "string", "pattern": f"^{TOPIC_PATTERN}$"}, "Only of this topic.", MOST_VALUES),
    "url": several({"type": "string"}, "Only of what is sent to this URL.", MOST_VALUES),
    "url_group": several({"type": "string"}, "Only of what is sent to this URL group.", MOST_VALUES),
    "schedule": several({"type": "string"}, "Only of what this recurring schedule made.", MOST_VALUES),
    "label": several({"type": "string"}, "Only with this label.", MOST_VALUES),
    "flow_key": several({"type": "string"}, "Only with this flow key.", MOST_VALUES),
}
LOG_QUERY: dict[str, tuple[dict[str, Any], str]] = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE}, "Most entries a page."),
    "cursor": ({"type": "string", "pattern": CURSOR}, "`next_cursor` of the page before, with the same other parameters."),
    **SEVERAL,
    "at_from": _TIME,
    "at_until": _TIME,
}


class LogEntryOut(Out, frozen=True, kw_only=True):
    """Something that happened to a webhook message."""

    event: Annotated[str, Meta(description=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.", examples=["delivered"])]
    at: TimeOut
    topic: str
    message_id: str
    deliver_at: Annotated[
        TimeOut | UnsetType, Meta(description="scheduled, changed, replayed, retrying: when it is due; of a retry, about.")
    ] = UNSET
    attempt: int | UnsetType = UNSET
    worker: str = ""
    lateness_ms: Annotated[int | UnsetType, Meta(description="Of the start of the attempt.")] = UNSET
    error: Annotated[str, Meta(description="The beginning of it.")] = ""
    labels: tuple[str, ...] = ()
    url: str = ""
    method: str = ""
    url_group: str = ""
    endpoint: Annotated[str, Meta(description="The name in its URL group of the endpoint that the URL is.")] = ""
    schedule: str = ""
    flow_key: str = ""
    caller_ip: Annotated[str, Meta(description="Who sent it here, where that is known.")] = ""
    max_attempts: Annotated[int | UnsetType, Meta(description="Where the message asks for a number of its own.")] = UNSET
    callback: Annotated[str, Meta(description="Its URL.")] = ""
    failure_callback: Annotated[str, Meta(description="Its URL.")] = ""
    headers: Annotated[dict[str, str] | UnsetType, Meta(description="scheduled: those of the message.")] = UNSET
    body: Annotated[str, Meta(description="scheduled: the first 4 KiB of it, as text where it is UTF-8.")] = ""
    body_base64: Base64 | UnsetType = UNSET
    truncated: Annotated[bool, Meta(description="There was more of the body, or of the headers.")] = False
    response: Annotated[
        ResponseOut | UnsetType, Meta(description="What the attempt was answered, with the first 4 KiB of the body.")
    ] = UNSET


class LogEntries(Out, frozen=True, kw_only=True):
    """A page of the log, the newest first."""

    items: tuple[LogEntryOut, ...]
    next_cursor: Annotated[str, Meta(description="Give it as `cursor` for the next page; absent on the last.")] = ""
