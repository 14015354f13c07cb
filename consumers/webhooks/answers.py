"""What an HTTP answer to a webhook means for its message. Pure.

* 2xx: delivered.
* 489 with ``Upstash-NonRetryable-Error: true`` (QStash) and any failure with ``webhook-delivery: abort-message`` (Svix,
  https://docs.svix.com/receiving/delivery-control) are the last: no other attempt is wanted.
* Anything else is a failure; redirects are not followed. One that says when to come again is obeyed. With 429 and 503 that costs
  no attempt.

When to come again is said by ``Retry-After`` (RFC 9110, 10.2.3), else by one of the rate limit headers below: seconds, a duration
such as ``6m5s`` or ``120ms``, a date, or a time since the epoch: a number from 1e9 on is taken for seconds, from 1e12 on for
milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

NON_RETRYABLE = 489
LIMITED = frozenset({429, 503})
LONGEST_MS = 86_400_000
"""A later time than a day ahead is not obeyed: then the policy says when."""
WHEN = (
    "retry-after", "x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset", "ratelimit",
    "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
)  # fmt: skip
"""In the order in which they are looked at; of the last two the later time counts."""
_UNITS_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7}
_PART = r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h|d)"
_DURATION = re.compile(f"(?:{_PART})+")
_PARTS = re.compile(_PART)
_NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?")
_RESET = re.compile(r"(?:^|[;,]\s*)t=(\d{1,16})")
"""Of the field ``RateLimit`` of draft-ietf-httpapi-ratelimit-headers: seconds until the window ends."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer, as much of it as was read."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False


class Judgement(msgspec.Struct, frozen=True):
    """``wait``: a failure that costs no attempt. ``after_ms``: when to come again; ``None``: as the policy says."""

    kind: Literal["delivered", "dead", "wait", "retry"]
    after_ms: int | None = None


def judge(answer: Answer, now_ms: int) -> Judgement:
    """``now_ms``: since the epoch, what dates are compared with."""
    if 200 <= answer.status < 300:
        return Judgement("delivered")
    headers = {name.lower(): value.strip() for name, value in answer.headers}
    if _is_last(answer.status, headers):
        return Judgement("dead")
    after_ms = _after_ms(headers, now_ms)
    if after_ms is None or after_ms > LONGEST_MS:
        return Judgement("retry")
    return Judgement("wait" if answer.status in LIMITED else "retry", after_ms)


def _is_last(status: int, headers: dict[str, str]) -> bool:
    if status == NON_RETRYABLE and headers.get("upstash-nonretryable-error", "").lower() == "true":
        return True
    return headers.get("webhook-delivery", "").lower() == "abort-message"


def _after_ms(headers: dict[str, str], now_ms: int) -> int | None:
    for name in WHEN[:-2]:
        value = headers.get(name)
        found = None if value is None else _time_ms(name, value, now_ms)
        if found is not None:
            return found
    return max(_of(headers, WHEN[-2:], now_ms), default=None)


def _of(headers: dict[str, str], names: tuple[str, ...], now_ms: int) -> Iterator[int]:
    for name in names:
        found = _time_ms(name, headers[name], now_ms) if name in headers else None
        if found is not None:
            yield found


def _time_ms(name: str, value: str, now_ms: int) -> int | None:
    """Milliseconds from now; 0 where it is past, ``None`` where it says nothing that is understood."""
    if name == "ratelimit":
        reset = _RESET.search(value)
        return int(reset[1]) * 1000 if reset else None
    if _NUMBER.fullmatch(value):
        return _number_ms(float(value), now_ms)
    if _DURATION.fullmatch(value):
        return round(sum(float(amount) * _UNITS_MS[unit] for amount, unit in _PARTS.findall(value)))
    date = _date(value)
    return None if date is None else max(0, round(date.timestamp() * 1000) - now_ms)


def _number_ms(number: float, now_ms: int) -> int:
    if number >= 1e12:
        return max(0, round(number) - now_ms)
    return max(0, round(number * 1000) - now_ms) if number >= 1e9 else round(number * 1000)


def _date(value: str) -> datetime | None:
    """An HTTP date, or one of RFC 3339."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = parse(value)
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
