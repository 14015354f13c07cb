"""What a QStash call asks for by ``Upstash-*`` headers, or by query parameters of the same names; headers come first. Pure.

https://upstash.com/docs/qstash/api/publish names them. Those that are not known are ignored, as QStash ignores them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from producer.qstash.forwarded import content_type_of, forwarded
from producer.qstash.names import checked
from producer.schemas import FLOW_KEY_TEXT
from shared.errors import InvalidField
from shared.record import Callback, RetryOptions
from shared.retry_delays import default_delays_ms, delays_ms
from shared.store.flow import QUEUE_PREFIX, Limit
from shared.times import parse_delay_ms, parse_time_ms

PREFIX = "upstash-"
USUAL_RETRIES, MOST_RETRIES = 3, 999
LONGEST_MS = 2_592_000_000
"""Of a time-out."""
LONGEST_PERIOD_MS = 604_800_000
LARGEST_RATE, LARGEST_PARALLELISM = 100_000, 1_000_000
MOST_LABELS, LONGEST_LABEL = 20, 64
_METHOD = re.compile(r"[A-Z]{1,20}")
_NO_METHODS = frozenset({"CONNECT", "TRACE"})
_KEY = re.compile(FLOW_KEY_TEXT)
_NUMBER = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(r"[0-9]{1,13}(\.[0-9]{1,9})?")
_LIMIT = re.compile(r"\s*(parallelism|rate|period)\s*=\s*([0-9a-z]{1,20})\s*")
_LABEL = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_REDACTED = re.compile(r"body|headers?|header\[[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\]")
_OF_CALLBACK = ("method", "retries", "retry-delay", "delay", "timeout")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    delay_ms: int | None = None
    not_before_ms: int | None = None
    retry: RetryOptions
    retry_delay: str | None = None
    timeout_ms: int | None = None
    headers: dict[str, str]
    content_type: str | None
    callback: Callback | None = None
    failure_callback: Callback | None = None
    deduplication_id: str | None = None
    content_based: bool = False
    labels: tuple[str, ...] = ()
    flow_key: str | None = None
    limit: Limit | None = None
    """What the message says of its flow key."""
    redact: tuple[str, ...] = ()
    queue: str | None = None
    cron: str | None = None
    schedule_id: str | None = None


def options_of(headers: Iterable[tuple[str, str]], query: Iterable[tuple[str, str]] = ()) -> Asked:
    """Raises ``InvalidField`` with the header at fault."""
    given = _given(headers, query)
    options = _named(given)
    flow_key = options.get("flow-control-key")
    if flow_key is not None and (not _KEY.fullmatch(flow_key) or flow_key.startswith(QUEUE_PREFIX)):
        raise _wrong("flow-control-key", "1 to 128 visible ASCII characters without quotation marks and backslashes", flow_key)
    if "queue-name" in options and flow_key is not None:
        raise _wrong("flow-control-key", "no flow control beside a queue: a queue has its parallelism", flow_key)
    return Asked(
        method=_method(options),
        delay_ms=_duration(options, "delay"),
        not_before_ms=_not_before(options),
        retry=_retry(options),
        retry_delay=options.get("retry-delay"),
        timeout_ms=_timeout(options),
        headers=forwarded(given, "Upstash-Forward-"),
        content_type=content_type_of(options.get("forward-content-type") or _media_type(given)),
        callback=_callback("callback", options),
        failure_callback=_callback("failure-callback", options),
        deduplication_id=options.get("deduplication-id"),
        content_based=_switch(options, "content-based-deduplication"),
        labels=_labels(options.get("label")),
        flow_key=flow_key,
        limit=_limit(options) if flow_key is not None else None,
        redact=_redact(options.get("redact-fields")),
        queue=checked(options["queue-name"], "Upstash-Queue-Name") if "queue-name" in options else None,
        cron=options.get("cron"),
        schedule_id=options.get("schedule-id"),
    )


def _given(headers: Iterable[tuple[str, str]], query: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers, and of the query what has QStash's prefix and is no header: the rest of it is the destination's."""
    found = [(name, _text(value)) for name, value in headers]
    known = {name.lower() for name, _ in found}
    return found + [(name, value) for name, value in query if name.lower().startswith(PREFIX) and name.lower() not in known]


def _text(value: str) -> str:
    """What is no UTF-8 is ISO 8859-1, in which browsers and Node.js send headers; such bytes could not be stored."""
    if value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _named(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values by lower-case names without the prefix, several of one name with commas between. An empty one is none."""
    found: dict[str, str] = {}
    for name, value in given:
        own = name.lower().removeprefix(PREFIX)
        if name.lower().startswith(PREFIX) and value.strip():
            found[own] = f"{found[own]}, {value.strip()}" if own in found else value.strip()
    return found


def _media_type(given: Iterable[tuple[str, str]]) -> str | None:
    return next((value for name, value in given if name.lower() == "content-type"), None)


def _wrong(name: str, expected: str, got: str) -> InvalidField:
    return InvalidField(f"Upstash-{name.title()}", f"expected {expected}; got {got[:80]!r}", 400)


def _method(options: Mapping[str, str]) -> str:
    method = options.get("method", "POST").upper()
    if not _METHOD.fullmatch(method) or method in _NO_METHODS:
        raise _wrong("method", "an HTTP method such as POST", method)
    return method


def _duration(options: Mapping[str, str], name: str) -> int | None:
    """``10s``, ``1d2h``; a number alone is seconds."""
    text = options.get(name)
    if text is None:
        return None
    try:
        return parse_delay_ms(int(text) if _NUMBER.fullmatch(text) else text.lower())
    except ValueError:
        raise _wrong(name, "a duration such as 10s, 5m or 1d2h30m", text) from None


def _timeout(options: Mapping[str, str]) -> int | None:
    timeout_ms = _duration(options, "timeout")
    if timeout_ms is not None and not 1 <= timeout_ms <= LONGEST_MS:
        raise _wrong("timeout", "a duration up to 30d", options["timeout"])
    return timeout_ms


def _not_before(options: Mapping[str, str]) -> int | None:
    """A Unix time in seconds, with whatever precision."""
    text = options.get("not-before")
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise _wrong("not-before", "a Unix time in seconds", text)
    return parse_time_ms(float(text))


def _retry(options: Mapping[str, str]) -> RetryOptions:
    text = options.get("retries", str(USUAL_RETRIES))
    if not _NUMBER.fullmatch(text) or int(text) > MOST_RETRIES:
        raise _wrong("retries", f"a number from 0 to {MOST_RETRIES}", text)
    expression = options.get("retry-delay")
    try:
        waits = default_delays_ms(int(text)) if expression is None else delays_ms(expression, int(text))
    except ValueError as error:
        raise InvalidField("Upstash-Retry-Delay", f"{error}; got {(expression or '')[:80]!r}", 400) from None
    return RetryOptions(max_attempts=int(text) + 1, delays_ms=waits, jitter=0.0)


def _callback(name: str, options: Mapping[str, str]) -> Callback | None:
    """Its own options have its name before them; what is none of them is a header that goes with it.

    It has the retries of the message, where it does not say others.
    """
    url = options.get(name)
    if url is None:
        return None
    prefix = f"{name}-"
    own = {key.removeprefix(prefix): value for key, value in options.items() if key.startswith(prefix)}
    plain = {key: value for key, value in {"retries": options.get("retries", ""), **own}.items() if key in _OF_CALLBACK and value}
    headers = [(key.removeprefix("forward-"), value) for key, value in own.items() if key not in _OF_CALLBACK]
    try:
        return Callback(
            url=url,
            method=_method(plain),
            headers=forwarded([(key.title(), value) for key, value in headers], ""),
            retry=_retry(plain),
            delay_ms=_duration(plain, "delay") or 0,
            deadline_ms=_timeout(plain),
        )
    except InvalidField as error:
        raise InvalidField(error.field.replace("Upstash-", f"Upstash-{prefix.title()}"), error.detail, 400) from None


def _switch(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise _wrong(name, "true or false", text)
    return text == "true"


def _labels(text: str | None) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))
    if len(found) > MOST_LABELS or any(len(one) > LONGEST_LABEL or not _LABEL.fullmatch(one) for one in found):
        raise _wrong("label", f"at most {MOST_LABELS} labels of at most {LONGEST_LABEL} characters", text or "")
    return found


def _limit(options: Mapping[str, str]) -> Limit | None:
    """``parallelism=5, rate=10, period=1m``, in capitals or not; a period without a unit is seconds."""
    text = options.get("flow-control-value", "")
    if not text:
        return None
    values: dict[str, str] = {}
    for part in text.lower().split(","):
        match = _LIMIT.fullmatch(part)
        if match is None or match[1] in values:
            raise _wrong("flow-control-value", "parallelism=, rate= and period=, with commas between", text)
        values[match[1]] = match[2]
    if "period" in values and "rate" not in values:
        raise _wrong("flow-control-value", "a period only beside a rate", text)
    rate, parallelism = _count(values, "rate", LARGEST_RATE), _count(values, "parallelism", LARGEST_PARALLELISM)
    period_ms = _duration({"flow-control-value": values.get("period", "1s")}, "flow-control-value") or 0
    if not 1 <= period_ms <= LONGEST_PERIOD_MS:
        raise _wrong("flow-control-value", "a period up to 7d", text)
    return Limit(rate, period_ms, parallelism)


def _count(values: Mapping[str, str], name: str, largest: int) -> int:
    """0 where nothing is said of it."""
    text = values.get(name)
    if text is None:
        return 0
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= largest:
        raise _wrong("flow-control-value", f"{name}= with a number from 1 to {largest}", text)
    return int(text)


def _redact(text: str | None) -> tuple[str, ...]:
    found = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if not all(_REDACTED.fullmatch(part) for part in found):
        raise _wrong("redact-fields", "of body, header and header[name], with commas between", text or "")
    return tuple("header" if part == "headers" else part for part in found)
