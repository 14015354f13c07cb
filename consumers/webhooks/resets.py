"""When the headers of an answer ask to be sent to again. Pure.

``Retry-After`` (RFC 9110, 10.2.3) says it. Else the limits do, of which an answer may tell several: the latest reset of those
that are used up. Some tell them with every answer, so one of which something is left (``X-RateLimit-Remaining`` above 0) is no
reason to wait, unless the status says that a limit is the reason and none is used up.

A time is written as seconds, as a duration such as ``6m5s`` or ``120ms``, as a date (of HTTP or RFC 3339), or as a time since the
epoch: a number from 1e9 on is taken for seconds, from 1e12 on for milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LIMITS = {
    "x-ratelimit-reset": "x-ratelimit-remaining",
    "x-rate-limit-reset": "x-rate-limit-remaining",
    "ratelimit-reset": "ratelimit-remaining",
    "x-ratelimit-reset-requests": "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-tokens": "x-ratelimit-remaining-tokens",
}
"""The header that says when a limit is reset, and the one that says what is left of it."""
WINDOWS = "ratelimit"
"""The header of draft-ietf-httpapi-ratelimit-headers."""
_UNITS_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7}
_PART = r"(\d{1,15}(?:\.\d{1,9})?)(ns|us|µs|μs|ms|s|m|h|d)"
_DURATION = re.compile(f"(?:{_PART}){{1,9}}", re.ASCII)
_PARTS = re.compile(_PART, re.ASCII)
_NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)
_QUOTED = re.compile(r'"[^"]*"')
_RESET = re.compile(r"\b(?:t|reset)=(\d{1,16})", re.ASCII)
_LEFT = re.compile(r"\b(?:r|remaining)=(\d{1,16})", re.ASCII)
_LONGEST_DATE = 60


def asked_ms(headers: Mapping[str, str], now_ms: int, *, is_limited: bool) -> int | None:
    """Milliseconds from now; 0 where the time is past, ``None`` where nothing asks for any. Names in lower case.

    ``is_limited``: whether the status says that a limit is the reason. ``now_ms``: since the epoch, what dates are compared with.
    """
    after_ms = time_ms(headers.get("retry-after", ""), now_ms)
    if after_ms is not None:
        return after_ms
    resets = list(_resets(headers, now_ms))
    used_up = [reset_ms for reset_ms, is_left in resets if not is_left]
    return max(used_up or [reset_ms for reset_ms, _ in resets if is_limited], default=None)


def _resets(headers: Mapping[str, str], now_ms: int) -> Iterator[tuple[int, bool]]:
    """Of each limit when it is reset, and whether something of it is left."""
    for reset, remaining in LIMITS.items():
        reset_ms = time_ms(headers.get(reset, ""), now_ms)
        if reset_ms is not None:
            left = headers.get(remaining, "")
            yield reset_ms, bool(_NUMBER.fullmatch(left)) and float(left) > 0
    yield from _windows(headers.get(WINDOWS, ""))


def _windows(value: str) -> Iterator[tuple[int, bool]]:
    """``"day";r=0;t=30`` of each limit; in earlier drafts, still in wide use, ``limit=9, remaining=0, reset=30`` of one."""
    bare = _QUOTED.sub("", value)
    for window in [bare] if "reset=" in bare else bare.split(","):
        reset, left = _RESET.search(window), _LEFT.search(window)
        if reset:
            yield int(reset[1]) * 1000, left is not None and int(left[1]) > 0


def time_ms(value: str, now_ms: int) -> int | None:
    """Milliseconds from now; 0 where it is past, ``None`` where it says nothing that is understood."""
    if _NUMBER.fullmatch(value):
        return _number_ms(float(value), now_ms)
    if _DURATION.fullmatch(value):
        return round(sum(float(amount) * _UNITS_MS[unit] for amount, unit in _PARTS.findall(value)))
    date = _date(value) if len(value) <= _LONGEST_DATE else None
    return None if date is None else max(0, round(date.timestamp() * 1000) - now_ms)


def _number_ms(number: float, now_ms: int) -> int:
    if number >= 1e12:
        return max(0, round(number) - now_ms)
    return max(0, round(number * 1000) - now_ms) if number >= 1e9 else round(number * 1000)


def _date(value: str) -> datetime | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = parse(value)
        except (ValueError, OverflowError):  # what a receiver writes may be anything; a zone of many digits overflows
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
