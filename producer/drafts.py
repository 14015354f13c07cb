"""From a checked request to a draft: what types cannot say. Pure but for the clock it is given."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, UnsetType

from producer.depth import MAX_DEPTH, is_too_deep
from producer.fields import retry_of, set_or_none
from producer.schemas import Content, EchoRequest, NewMessage, ReplayRequest, Timed
from producer.webhook_drafts import webhook_options
from shared.errors import InvalidField
from shared.record import NO_OPTIONS, Kind, Options, Priority, Record
from shared.settings import ProducerSettings, WebhooksSettings
from shared.store.chunks import Draft
from shared.store.dead_letters import Change
from shared.targets import Targets
from shared.times import format_ms, parse_delay_ms, parse_local_ms, parse_time_ms
from shared.zones import ZONE_EXPECTED, zone_of

ALL_BITS = 2**64 - 1
"""Of a draft's random bits, those with which it is due last."""
_decode_text = msgspec.json.Decoder(str).decode


class Rules(msgspec.Struct, frozen=True):
    """What every draft is checked against."""

    topics: frozenset[str]
    limits: ProducerSettings
    now_ms: int
    latest_ms: int
    """The last due time that may be asked for."""
    priorities: Mapping[str, Priority] = {}
    """Of the topics whose messages have another than the usual one."""
    trace: str | None = None
    repeatable: bool = False
    """Whether the request carries an idempotency key."""
    targets: Targets = Targets(WebhooksSettings())
    """Where webhooks may be sent."""


class Body(msgspec.Struct, frozen=True):
    kind: Kind
    bytes: bytes
    content_type: str | None


def echo_draft(asked: EchoRequest, rules: Rules) -> Draft:
    body = asked.message.encode()
    _check_size("message", body, rules)
    return Draft("echo", "text", body, due_ms=due_time("time", asked.time, rules), options=_usual("echo", rules))


def message_draft(asked: NewMessage, rules: Rules) -> Draft:
    """Raises ``InvalidField``."""
    due_ms, delay_ms = when(asked, rules)
    expires_ms = None if asked.expires_at is UNSET else due_time("expires_at", asked.expires_at, rules)
    draft = content_draft(asked, rules, due_ms, delay_ms or 0, expires_ms)
    _check_expiry(draft, rules)
    return draft


def content_draft(
    asked: Content, rules: Rules, due_ms: int | None = None, delay_ms: int = 0, expires_ms: int | None = None
) -> Draft:
    """What is to be delivered, whenever that is. Raises ``InvalidField``."""
    if asked.topic not in rules.topics:
        raise InvalidField("topic", f"expected one of {', '.join(sorted(rules.topics))}; got {asked.topic!r}")
    body = body_of(asked.body, asked.body_base64, asked.content_type, rules) or Body("text", b"", set_or_none(asked.content_type))
    options = webhook_options(asked, _options(asked, body, rules, expires_ms), rules.targets, rules.latest_ms - rules.now_ms)
    if asked.spread is asked.expires_after is UNSET:
        return Draft(asked.topic, body.kind, body.bytes, due_ms, delay_ms, options)
    spread_ms, expires_after_ms = _window(asked, rules)
    if expires_after_ms is not None and expires_ms is not None:
        raise InvalidField("expires_after", "expected either expires_at or expires_after, not both")
    draft = Draft(asked.topic, body.kind, body.bytes, due_ms, delay_ms, options, spread_ms, expires_after_ms)
    _check_horizon("spread", draft.due_at(rules.now_ms, ALL_BITS), rules)
    return draft


def _window(asked: Content, rules: Rules) -> tuple[int, int | None]:
    """Its spread, and how long after its due time it expires, in milliseconds."""
    expires_after_ms = None if asked.expires_after is UNSET else duration("expires_after", asked.expires_after, rules)
    if expires_after_ms == 0:
        raise InvalidField("expires_after", "expected at least a millisecond")
    return (0 if asked.spread is UNSET else duration("spread", asked.spread, rules)), expires_after_ms


def _check_expiry(draft: Draft, rules: Rules) -> None:
    """A message that is never delivered is a mistake.

    A repeat has to get the first answer also when its message has expired meanwhile, so a request with an idempotency key is
    judged by what it says alone, never by the clock.
    """
    expires_ms = draft.options.expires_ms
    if expires_ms is None:
        return
    due_ms = (draft.due_ms or 0) + draft.spread_ms if rules.repeatable else draft.due_at(rules.now_ms, ALL_BITS)
    if expires_ms <= due_ms:
        earliest = "deliver_at" if draft.due_ms == due_ms else "the due time"
        raise InvalidField("expires_at", f"expected a time after {earliest} ({format_ms(due_ms)}); got {format_ms(expires_ms)}")


def _usual(topic: str, rules: Rules) -> Options:
    """Of a message that asks for nothing."""
    priority = rules.priorities.get(topic)
    return NO_OPTIONS if rules.trace is priority is None else Options(priority=priority, trace=rules.trace)


def _options(asked: Content, body: Body, rules: Rules, expires_ms: int | None) -> Options:
    if asked.retry is asked.deadline_ms is asked.retention_ms is asked.flow_key is UNSET and (
        asked.labels is asked.headers is asked.content_type is asked.priority is asked.ordered is UNSET and expires_ms is None
    ):
        return _usual(asked.topic, rules)  # most messages: of a batch, thousands
    return Options(
        priority=set_or_none(asked.priority) or rules.priorities.get(asked.topic),
        retry=retry_of(asked.retry),
        deadline_ms=set_or_none(asked.deadline_ms),
        expires_ms=expires_ms,
        retention_ms=set_or_none(asked.retention_ms),
        flow_key=set_or_none(asked.flow_key),
        ordered=_ordered(asked),
        labels=set_or_none(asked.labels) or (),
        headers=set_or_none(asked.headers) or {},
        content_type=body.content_type,
        trace=rules.trace,
    )


def _ordered(asked: Content) -> bool:
    if asked.ordered is True and asked.flow_key is UNSET:
        raise InvalidField("ordered", "expected a flow_key beside it: the order is that of the messages with the same one")
    return asked.ordered is True


def when(asked: Timed, rules: Rules) -> tuple[int | None, int | None]:
    """``(due time, None)``, ``(None, delay)``, or ``(None, None)`` where no time was given, in milliseconds."""
    if asked.delay is asked.deliver_at_local is asked.timezone is UNSET:  # nearly always
        return (None if asked.deliver_at is UNSET else due_time("deliver_at", asked.deliver_at, rules)), None
    given = [name for name in ("deliver_at", "delay", "deliver_at_local") if getattr(asked, name) is not UNSET]
    if len(given) > 1:
        raise InvalidField(given[-1], f"expected one of deliver_at, delay and deliver_at_local; got {' and '.join(given)}")
    if asked.deliver_at_local is not UNSET:
        return local_time("deliver_at_local", asked.deliver_at_local, zone_asked(asked.timezone, "deliver_at_local"), rules), None
    if asked.timezone is not UNSET:
        raise InvalidField("timezone", "expected deliver_at_local beside it: the other times need no zone")
    delay_ms = duration("delay", asked.delay, rules)
    return None, delay_ms


def due_from_now(asked: Timed, rules: Rules) -> int | None:
    """The due time where a delay counts from now; ``None`` where no time was given."""
    due_ms, delay_ms = when(asked, rules)
    return due_ms if delay_ms is None else rules.now_ms + delay_ms


def zone_asked(name: str | UnsetType, beside: str) -> ZoneInfo:
    """Raises ``InvalidField`` where it is missing or none."""
    if name is UNSET:
        raise InvalidField("timezone", f"this field is required beside {beside}: {ZONE_EXPECTED}")
    try:
        return zone_of(name)
    except ValueError as error:
        raise InvalidField("timezone", f"{error}; got {_shown(name)}") from None


def local_time(field: str, text: str, zone: ZoneInfo, rules: Rules) -> int:
    try:
        due_ms = parse_local_ms(text, zone)
    except ValueError as error:
        raise InvalidField(field, f"{error}; got {_shown(text)}") from None
    _check_horizon(field, due_ms, rules)
    return max(due_ms, 0)


def duration(field: str, value: str | float | UnsetType, rules: Rules) -> int:
    """Milliseconds; no longer than anything may be scheduled ahead."""
    try:
        duration_ms = parse_delay_ms(value)  # type: ignore[arg-type] # never unset here
    except ValueError as error:
        raise InvalidField(field, f"{error}; got {_shown(value)}") from None
    _check_horizon(field, rules.now_ms + duration_ms, rules)
    return duration_ms


def due_time(field: str, value: str | float, rules: Rules) -> int:
    try:
        due_ms = parse_time_ms(value)
    except ValueError as error:
        raise InvalidField(field, f"{error}; got {_shown(value)}") from None
    _check_horizon(field, due_ms, rules)
    return max(due_ms, 0)


def _check_horizon(field: str, due_ms: int, rules: Rules) -> None:
    if due_ms > rules.latest_ms:
        days = rules.limits.horizon_days
        raise InvalidField(field, f"expected a time at most {days} days ahead (Producer.HorizonDays)")


def replay_change(asked: ReplayRequest, rules: Rules) -> Change:
    """What of a dead letter is to be another. Raises ``InvalidField``."""
    body = body_of(asked.body, asked.body_base64, asked.content_type, rules)
    if body is None and asked.content_type is not UNSET:
        raise InvalidField("content_type", "expected a body beside it")
    other = Record("", 0, body.kind, body.bytes, Options(content_type=body.content_type)) if body else None
    return Change(other, retry_of(asked.retry), set_or_none(asked.deadline_ms), set_or_none(asked.priority))


def body_of(
    body: msgspec.Raw | UnsetType,
    body_base64: str | UnsetType,
    content_type: str | UnsetType,
    rules: Rules,
) -> Body | None:
    """The body of a request; ``None`` where it has none."""
    own_type = set_or_none(content_type)
    if body is not UNSET and body_base64 is not UNSET:
        raise InvalidField("body_base64", "expected either body or body_base64, not both")
    if body_base64 is not UNSET:
        try:
            found = Body("base64", base64.b64decode(body_base64, validate=True), own_type)
        except ValueError as error:
            raise InvalidField("body_base64", f"expected standard base64: {error}") from None
    elif body is not UNSET:
        found = _json_body(bytes(body), own_type)
    else:
        return None
    _check_size("body" if body_base64 is UNSET else "body_base64", found.bytes, rules)
    return found


def _json_body(raw: bytes, content_type: str | None) -> Body:
    try:
        if raw[:1] == b'"':
            return Body("text", _decode_text(raw).encode(), content_type)
    except msgspec.DecodeError as error:
        raise InvalidField("body", f"expected UTF-8; use body_base64 for other bytes: {error}") from None
    if is_too_deep(raw):
        raise InvalidField("body", f"expected JSON of at most {MAX_DEPTH} levels; use body_base64 for what is nested more deeply")
    try:
        msgspec.json.decode(raw)  # as a handler's message.json() reads it: a number may be beyond every number
    except msgspec.DecodeError as error:
        raise InvalidField("body", f"expected JSON that can be read: {error}; use body_base64 for other bytes") from None
    return Body("json", raw, content_type)


def _check_size(field: str, body: bytes, rules: Rules) -> None:
    if len(body) > rules.limits.max_body_bytes:
        limit = rules.limits.max_body_bytes
        raise InvalidField(field, f"expected at most {limit} bytes (Producer.MaxBodyBytes); got {len(body)}", status=413)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
