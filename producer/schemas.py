"""Every request and answer, described once: types, validation and documentation come from these definitions.

msgspec decodes and validates in one step, in C; ``producer.openapi`` turns the same classes into the API's description.
What a type cannot say (time formats, the horizon, known topics) is checked in ``producer.drafts``.
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.ids import TOPIC_PATTERN
from shared.record import Priority, RetryOptions
from shared.settings import TEXT_END, Durability


def _described(**more: Any) -> Meta:
    """For the description alone: what fits it not is refused with better words in ``producer.drafts``."""
    return Meta(extra_json_schema=more)


_DATE = r"[0-9]{4}-?((0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])|W(0[1-9]|[1-4][0-9]|5[0-3])(-?[1-7])?)"
_CLOCK = r"([01][0-9]|2[0-4])(:?[0-5][0-9](:?[0-5][0-9]([.,][0-9]+)?)?)?"
_OFFSET = r"([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9](:?[0-5][0-9])?)?)?"
_EPOCH_NUMBER = _described(minimum=0, maximum=1e15)
_SECONDS = _described(minimum=0, maximum=1e12)
_DURATION = _described(minLength=1, maxLength=40, pattern="^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$")

TimeIn = Annotated[
    Annotated[str, _described(pattern=f"^{_DATE}[Tt ]{_CLOCK}{_OFFSET}$")]
    | Annotated[int, _EPOCH_NUMBER]
    | Annotated[float, _EPOCH_NUMBER],
    Meta(
        description="ISO 8601 with any offset (none means UTC), or a number since 1970: milliseconds from 1e11 on, else seconds.",
        examples=["2030-01-31T09:00:00.250+01:00"],
    ),
]
DelayIn = Annotated[
    Annotated[str, _DURATION] | Annotated[int, _SECONDS] | Annotated[float, _SECONDS],
    Meta(description="Seconds, or a duration such as 1d2h30m10s250ms.", examples=["1h30m"]),
]
FromNowIn = Annotated[DelayIn, Meta(description="From now: seconds, or a duration such as 1d2h30m10s250ms.")]
LocalIn = Annotated[
    str,
    Meta(
        description=(
            "A date and time without an offset, as the clocks of `timezone` show it. One that they skip moves forward by what "
            "was skipped; of one that they show twice it is the earlier."
        ),
        examples=["2030-01-31T09:00:00.250"],
        extra_json_schema={"pattern": f"^{_DATE}[Tt ]{_CLOCK}$"},
    ),
]
ZoneIn = Annotated[str, Meta(max_length=64, description="The IANA name of a time zone.", examples=["Europe/Berlin"])]
TimeOut = Annotated[str, Meta(description="RFC 3339, UTC, milliseconds.", examples=["2030-01-31T08:00:00.250Z"])]
Reached = Annotated[
    Durability, Meta(description="How safe it is by now: Redis has it, it is on Redis's disk, or its replicas have it.")
]
_HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}" + TEXT_END
_HEADER_VALUE = r"^[^\x00-\x08\x0a-\x1f\x7f]*" + TEXT_END
_CONTENT_TYPE = r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[\x20-\x7e]*)?" + TEXT_END
FLOW_KEY_TEXT = r"[!#-\[\]-~]{1,128}"
_FLOW_KEY = f"^{FLOW_KEY_TEXT}{TEXT_END}"
_LABEL = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+" + TEXT_END
_METHOD = r"^(?!CONNECT$|TRACE$)[A-Z]{1,20}" + TEXT_END
PATTERNS = {
    _METHOD: "an HTTP method such as PUT; not CONNECT, nor TRACE",
    _HEADER_NAME: "header names of 1 to 128 letters, digits and !#$%&'*+.^_`|~-",
    _HEADER_VALUE: "a header value without control characters",
    _CONTENT_TYPE: "a media type such as text/csv or application/json; charset=utf-8",
    _LABEL: "a label without control characters",
    _FLOW_KEY: "visible ASCII characters other than quotation mark and backslash",
}
"""Each pattern in words, for the caller whose text does not fit."""

Label = Annotated[str, Meta(min_length=1, max_length=64, pattern=_LABEL, examples=["invoice"])]
FlowKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=_FLOW_KEY,
        description="Messages of its topic with this key share a limit, over all workers.",
        examples=["customer-7"],
    ),
]
HeaderName = Annotated[str, Meta(pattern=_HEADER_NAME)]
HeaderValue = Annotated[str, Meta(max_length=4096, pattern=_HEADER_VALUE, examples=["value"])]
ContentType = Annotated[str, Meta(max_length=200, pattern=_CONTENT_TYPE, examples=["text/csv"])]
Url = Annotated[str, Meta(min_length=1, max_length=2048, examples=["https://example.com/hook"])]
Method = Annotated[str, Meta(pattern=_METHOD, description="POST without it.", examples=["PUT"])]
Base64 = Annotated[
    str, Meta(description="Any bytes, as standard base64.", examples=["AAEC/w=="], extra_json_schema={"format": "byte"})
]
_WHENS = ("deliver_at", "delay", "deliver_at_local")


def _both(first: str, second: str) -> dict[str, Any]:
    return {"required": [first, second]}


def _alone(first: str, second: str) -> dict[str, Any]:
    return {"allOf": [{"required": [first]}, {"not": {"required": [second]}}]}


def none_of(*names: str) -> dict[str, Any]:
    """To be forbidden: a plain ``anyOf`` of requirements makes generators of clients split the type."""
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


def _list_and(name: str) -> dict[str, Any]:
    """Both given, and neither as ``null``."""
    return {**_both("delays_ms", name), "properties": {"delays_ms": {"type": "array"}, name: {"type": "number"}}}


_TWO_TIMES = [
    *(_both(first, second) for first, second in combinations(_WHENS, 2)),
    _alone("timezone", "deliver_at_local"),
    _alone("deliver_at_local", "timezone"),
]
_TWO_BODIES = [_both("body", "body_base64")]


CURSOR = r"^[0-9]{1,15}(\.[0-9]{1,11})?~[!-~]{1,200}$"
EPOCH_TEXT = r"[0-9]{1,13}(\.[0-9]{1,6})?"
TIME_QUERY = {"type": "string", "pattern": f"^({_DATE}[Tt ]{_CLOCK}{_OFFSET}|{EPOCH_TEXT})$"}
"""A time in a query."""


class In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request: unknown fields are refused."""


class Out(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer: what does not apply is left out."""


class EchoRequest(In, frozen=True):
    """Write a message to the log and to standard output at its time."""

    time: TimeIn
    message: Annotated[str, Meta(description="What to write.", examples=["hello"])]


class EchoAnswer(Out, frozen=True):
    id: str
    status: str
    time: TimeOut
    message: str
    durability: Reached
    deduplicated: bool = False


PriorityIn = Annotated[
    Priority, Meta(description="Its level: high before normal before low, by weights of 6, 3 and 1.", examples=["high"])
]


class When(In, frozen=True):
    """When to deliver: at most one of ``deliver_at``, ``delay``, and ``deliver_at_local`` with its ``timezone``."""

    deliver_at: TimeIn | UnsetType = UNSET
    delay: FromNowIn | UnsetType = UNSET
    deliver_at_local: LocalIn | UnsetType = UNSET
    timezone: ZoneIn | UnsetType = UNSET


class CallbackIn(In, frozen=True, kw_only=True):
    """A URL that is told what became of a webhook, by a message of its own."""

    url: Url
    method: Method | UnsetType = UNSET
    headers: Annotated[dict[HeaderName, HeaderValue], Meta(max_length=50)] | UnsetType = UNSET
    retry: RetryOptions | UnsetType = UNSET
    delay: FromNowIn | UnsetType = UNSET
    deadline_ms: Annotated[int, Meta(ge=1, le=2_592_000_000)] | UnsetType = UNSET


class Content(In, frozen=True, kw_only=True):
    """What to deliver, and by which policy. A string as ``body`` is kept as text, anything else as the JSON that was sent."""

    topic: Annotated[str, Meta(description="A topic of the settings.", examples=["echo"], max_length=64)]
    body: (
        Annotated[
            msgspec.Raw,
            Meta(description="A string is kept as text, anything else as the JSON that was sent: at most 100 levels."),
        ]
        | UnsetType
    ) = UNSET
    body_base64: Base64 | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET
    expires_after: (
        Annotated[DelayIn, Meta(description="Not delivered from so long after its due time on; expired instead.")] | UnsetType
    ) = UNSET
    spread: (
        Annotated[DelayIn, Meta(description="The window after the due time in which it is delivered, evenly spread.")] | UnsetType
    ) = UNSET
    retry: RetryOptions | UnsetType = UNSET
    deadline_ms: (
        Annotated[int, Meta(ge=1, le=2_592_000_000, description="How long the handler may run.", examples=[60_000])] | UnsetType
    ) = UNSET
    retention_ms: (
        Annotated[
            int, Meta(ge=0, le=2_592_000_000, description="How long the outcome is kept; 0 keeps none.", examples=[3_600_000])
        ]
        | UnsetType
    ) = UNSET
    labels: Annotated[tuple[Label, ...], Meta(max_length=20)] | UnsetType = UNSET
    headers: Annotated[dict[HeaderName, HeaderValue], Meta(max_length=50)] | UnsetType = UNSET
    url: Annotated[Url, Meta(description="Of topic webhook: where it is sent.")] | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    callback: Annotated[CallbackIn, Meta(description="Of topic webhook: told of each attempt.")] | UnsetType = UNSET
    failure_callback: (
        Annotated[CallbackIn, Meta(description="Of topic webhook: told when it became a dead letter.")] | UnsetType
    ) = UNSET
    flow_key: FlowKey | UnsetType = UNSET
    ordered: (
        Annotated[
            bool,
            Meta(description="It keeps the place of its flow key until it is over, through retries. Beside `flow_key` only."),
        ]
        | UnsetType
    ) = UNSET
    priority: PriorityIn | UnsetType = UNSET


class NewMessage(Content, frozen=True):
    """A message to deliver. With no time it is due at once."""

    deliver_at: TimeIn | UnsetType = UNSET
    delay: FromNowIn | UnsetType = UNSET
    deliver_at_local: LocalIn | UnsetType = UNSET
    timezone: ZoneIn | UnsetType = UNSET
    expires_at: (
        Annotated[TimeIn, Meta(description="Not delivered from this time on; expired instead. After the due time.")] | UnsetType
    ) = UNSET


Timed = When | NewMessage
"""What carries the fields of ``When``: a struct has one base only."""


class MessageChange(When, frozen=True):
    """What to change of a waiting message; what is absent stays."""

    body: msgspec.Raw | UnsetType = UNSET
    body_base64: Base64 | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET
    priority: PriorityIn | UnsetType = UNSET


class ReplayRequest(When, frozen=True):
    """When to deliver a dead letter again, at once with no time; and what of it is to be another."""

    body: msgspec.Raw | UnsetType = UNSET
    body_base64: Base64 | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET
    retry: RetryOptions | UnsetType = UNSET
    deadline_ms: Annotated[int, Meta(ge=1, le=2_592_000_000)] | UnsetType = UNSET
    priority: PriorityIn | UnsetType = UNSET


class MessageFilter(In, frozen=True):
    """Which messages; what is absent does not matter. Both ends of a range are included."""

    topic: Annotated[str, Meta(examples=["echo"], extra_json_schema={"pattern": f"^{TOPIC_PATTERN}$"})] | UnsetType = UNSET
    label: Label | UnsetType = UNSET
    due_from: TimeIn | UnsetType = UNSET
    due_until: TimeIn | UnsetType = UNSET
    created_from: TimeIn | UnsetType = UNSET
    created_until: TimeIn | UnsetType = UNSET


class DeadLetterFilter(MessageFilter, frozen=True):
    """Which dead letters; what is absent does not matter. Both ends of a range are included."""

    error: Annotated[str, Meta(max_length=200, description="A text in its reason or its last error.")] | UnsetType = UNSET
    died_from: TimeIn | UnsetType = UNSET
    died_until: TimeIn | UnsetType = UNSET


CursorIn = Annotated[str, Meta(description="`next_cursor` of the request before.", extra_json_schema={"pattern": CURSOR})]


class Bulk(In, frozen=True):
    """A part of a change of many: one request looks at no more than 1,000 messages, of those with a label at 200, and the next
    goes on from its cursor.
    """

    dry_run: Annotated[bool, Meta(description="Only count.")] = False
    cursor: (
        Annotated[str, Meta(description="`next_cursor` of the request before.", extra_json_schema={"pattern": CURSOR})]
        | UnsetType
    ) = UNSET


class BulkCancel(Bulk, frozen=True, kw_only=True):
    filter: MessageFilter
    state: Annotated[
        Literal["waiting", "scheduled", "retrying", "ready"], Meta(description="`waiting`: both scheduled and retrying.")
    ] = "waiting"


class BulkDeliver(Bulk, frozen=True, kw_only=True):
    filter: MessageFilter
    state: Literal["waiting", "scheduled", "retrying"] = "waiting"


class BulkReplay(Bulk, frozen=True, kw_only=True):
    filter: DeadLetterFilter
    change: Annotated[ReplayRequest, Meta(description="As for a single one.")] | UnsetType = UNSET


class BulkDelete(Bulk, frozen=True, kw_only=True):
    filter: DeadLetterFilter


_ORDERED_ALONE = {"required": ["ordered"], "properties": {"ordered": {"enum": [True]}}, "not": {"required": ["flow_key"]}}
RULES: dict[str, dict[str, Any]] = {
    "Content": {"not": {"anyOf": [*_TWO_BODIES, _ORDERED_ALONE]}},
    "NewMessage": {"not": {"anyOf": [*_TWO_TIMES, *_TWO_BODIES, _both("expires_at", "expires_after"), _ORDERED_ALONE]}},
    "MessageChange": {"not": {"anyOf": [*_TWO_TIMES, *_TWO_BODIES, none_of(*_WHENS, "body", "body_base64")]}},
    "ReplayRequest": {"not": {"anyOf": [*_TWO_TIMES, *_TWO_BODIES]}},
    "MessageFilter": {"minProperties": 1},
    "DeadLetterFilter": {"minProperties": 1},
    "RetryOptions": {"not": {"anyOf": [_list_and(name) for name in ("initial_ms", "max_ms", "factor")]}},
}
"""For the description: which fields of a request do not go together. ``producer.drafts`` and the handlers refuse them."""


LocalOut = Annotated[
    str,
    Meta(
        description="The same as the clocks of the zone that was asked for show it, with their offset.",
        examples=["2030-01-31T09:00:00.250+01:00"],
    ),
]


class Accepted(Out, frozen=True, kw_only=True):
    id: str
    topic: str
    status: str
    deliver_at: TimeOut
    deliver_at_local: LocalOut | UnsetType = UNSET
    expires_at: TimeOut | UnsetType = UNSET
    durability: Reached
    deduplicated: bool = False


class BatchAccepted(Out, frozen=True):
    count: int
    ids: Annotated[tuple[str, ...], Meta(description="In the order of the request.")]
    durability: Reached
    deduplicated: bool = False


class RetryOut(Out, frozen=True):
    """An attempt that is made where all before it fail, each at once."""

    attempt: int
    earliest: TimeOut
    latest: TimeOut


class PreviewOut(Out, frozen=True, kw_only=True):
    """What would become of a message; nothing is stored."""

    topic: str
    deliver_at: TimeOut
    deliver_at_latest: Annotated[TimeOut | UnsetType, Meta(description="The end of its window, where it is spread.")] = UNSET
    deliver_at_local: LocalOut | UnsetType = UNSET
    expires_at: TimeOut | UnsetType = UNSET
    deadline_ms: Annotated[int, Meta(description="How long the handler may run.")]
    attempts: Annotated[
        tuple[RetryOut, ...],
        Meta(description="All that its policy allows, as if each took no time; the last may be past expiry."),
    ]


RetryAt = Annotated[
    TimeOut,
    Meta(
        description="When the next attempt was due; absent where none was to follow. Exact for the newest failed attempt of a "
        "message that is not over; of others it is by the worker's clock, right to a few milliseconds where Redis was not out."
    ),
]


class ResponseOut(Out, frozen=True):
    """What a webhook was answered. The body is text, or base64 where it is no UTF-8."""

    status: Annotated[int, Meta(examples=[200])]
    headers: dict[str, str] = {}
    body: str = ""
    body_base64: Base64 | UnsetType = UNSET
    truncated: Annotated[bool, Meta(description="The body was longer than Webhooks.ResponseBytes.")] = False


class CallbackOut(Out, frozen=True):
    """As it was asked for."""

    url: str
    method: str
    headers: dict[str, str] = {}
    retry: RetryOptions | UnsetType = UNSET
    delay: str = ""
    deadline_ms: int | UnsetType = UNSET


class AttemptOut(Out, frozen=True):
    """An attempt that failed."""

    attempt: int
    started_at: TimeOut
    ended_at: TimeOut
    error: str
    worker: str
    retry_at: RetryAt | UnsetType = UNSET
    response: ResponseOut | UnsetType = UNSET


class TimelineOut(Out, frozen=True, kw_only=True):
    """Something that happened to a message, or is to happen."""

    at: TimeOut
    event: Annotated[
        str, Meta(description="created, due, dispatched, attempt, delivered, expired, cancelled or dead.", examples=["created"])
    ]
    attempt: int | UnsetType = UNSET
    until: Annotated[TimeOut | UnsetType, Meta(description="When the attempt ended.")] = UNSET
    worker: str = ""
    error: str = ""
    retry_at: RetryAt | UnsetType = UNSET


class MessageOut(Out, frozen=True):
    """A message as it is at the moment of the answer."""

    id: str
    topic: str
    status: Annotated[
        str,
        Meta(
            description="scheduled, waiting, ready, running, retrying, delivered, dead, cancelled or expired.",
            examples=["scheduled"],
        ),
    ]
    deliver_at: Annotated[
        TimeOut, Meta(description="When it is, or was, due; of a retried message, when its next or last attempt is or was.")
    ]
    attempts: Annotated[int, Meta(description="Attempts made; of a running one, those before it.")]
    created_at: TimeOut | UnsetType = UNSET
    started_at: Annotated[TimeOut, Meta(description="Start of the delivery that settled it.")] | UnsetType = UNSET
    settled_at: TimeOut | UnsetType = UNSET
    lateness_ms: Annotated[int, Meta(description="Start minus due time.")] | UnsetType = UNSET
    worker: str = ""
    reason: Annotated[str, Meta(description="Why it is dead.")] = ""
    errors: tuple[AttemptOut, ...] = ()
    response: Annotated[ResponseOut | UnsetType, Meta(description="What a webhook that was delivered was answered.")] = UNSET
    body: msgspec.Raw | UnsetType = UNSET
    body_base64: Base64 | UnsetType = UNSET
    content_type: str = ""
    expires_at: TimeOut | UnsetType = UNSET
    retry: RetryOptions | UnsetType = UNSET
    deadline_ms: int | UnsetType = UNSET
    retention_ms: int | UnsetType = UNSET
    labels: tuple[str, ...] = ()
    headers: dict[str, str] | UnsetType = UNSET
    url: str = ""
    method: str = ""
    callback: CallbackOut | UnsetType = UNSET
    failure_callback: CallbackOut | UnsetType = UNSET
    url_group: Annotated[str, Meta(description="The URL group that it was or is to be sent to.")] = ""
    callback_of: Annotated[str, Meta(description="The message of which this one tells.")] = ""
    flow_key: str = ""
    ordered: bool = False
    priority: Priority | UnsetType = UNSET
    schedule: Annotated[str, Meta(description="The recurring schedule that made it.")] = ""
    occurrence: Annotated[TimeOut | UnsetType, Meta(description="Which of its runs it is.")] = UNSET
    why: Annotated[str, Meta(description="Why it has not started, where it is late by more than a second. Not in lists.")] = ""
    timeline: Annotated[tuple[TimelineOut, ...], Meta(description="In the order of time. Not in lists.")] = ()
    durability: Annotated[Reached | UnsetType, Meta(description="How safe the change is that was asked for.")] = UNSET


class Cancelled(Out, frozen=True):
    id: str
    status: str
    durability: Reached


class Messages(Out, frozen=True):
    items: tuple[MessageOut, ...]
    next_cursor: Annotated[str, Meta(description="Give it as `cursor` for the next page; absent on the last.")] = ""


class BulkOut(Out, frozen=True, kw_only=True):
    affected: Annotated[int, Meta(description="How many were changed by this request; with `dry_run`, would have been.")]
    dry_run: bool
    next_cursor: Annotated[str, Meta(description="There may be more: repeat the request with it as `cursor`.")] = ""


class DeadLetterDeleted(Out, frozen=True):
    id: str
    status: str
    durability: Reached


class DeadLetters(Out, frozen=True):
    items: Annotated[tuple[MessageOut, ...], Meta(description="Newest first.")]
    total: Annotated[int, Meta(description="Dead letters in all topics, whichever `topic` asks for.")]
    next_cursor: Annotated[str, Meta(description="Give it as `cursor` for the next page; absent on the last.")] = ""


class QstashError(Out, frozen=True):
    """An error in the form of QStash's API."""

    error: str


class Problem(Out, frozen=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    field: Annotated[str, Meta(description="The field at fault.", examples=["[3].deliver_at"])] = ""
    request_id: str = ""
    ids: Annotated[tuple[str, ...], Meta(description="Messages that may have been stored; absent where certainly none was.")] = ()
    idempotency_key: Annotated[str, Meta(description="Repeat with this key: it completes and doubles nothing.")] = ""


class TopicWorker(Out, frozen=True):
    """A worker that reads a topic."""

    name: str
    running: Annotated[int, Meta(description="Deliveries of the topic that it holds.")]
    idle_ms: Annotated[int, Meta(description="Since it last asked for something; a living one asks every few seconds.")]


class TopicOut(Out, frozen=True, kw_only=True):
    """A topic as it is at the moment of the answer."""

    topic: str
    configured: Annotated[bool, Meta(description="Whether the settings name it.")]
    paused: bool
    scheduled: Annotated[int, Meta(description="Messages that wait for their time, retries included.")]
    overdue: Annotated[int, Meta(description="Of these, those that are due: a backlog, a limit, or the topic is paused.")]
    limited: Annotated[int, Meta(description="Of these, those that wait for a place of their flow key.")] = 0
    ready: Annotated[int, Meta(description="Due, and waiting for a worker.")]
    running: int
    lateness_ms: Annotated[int, Meta(description="Of the oldest that is due and has not started; 0 where none is.")]
    accepted_per_second: Annotated[
        float, Meta(description="Messages stored, those of recurring schedules included, by all processes in the last minute.")
    ]
    delivered_per_second: Annotated[float, Meta(description="Deliveries that ended well in the last minute.")]
    failed_per_second: Annotated[
        float, Meta(description="Attempts that failed in the last minute: those that are retried, and those that end dead.")
    ]
    next_due_at: TimeOut | UnsetType = UNSET
    workers: tuple[TopicWorker, ...] = ()


class Topics(Out, frozen=True):
    items: Annotated[tuple[TopicOut, ...], Meta(description="Those of the settings, and others that hold messages.")]


class TopicHealth(Out, frozen=True):
    topic: str
    scheduled: int
    ready: int
    running: int
    configured: bool


class Health(Out, frozen=True):
    status: str
    version: str
    server: str = ""
    clock_difference_ms: Annotated[int, Meta(description="This host's wall clock minus Redis's.")] = 0
    topics: tuple[TopicHealth, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Ready(Out, frozen=True):
    status: str
    reasons: tuple[str, ...] = ()
