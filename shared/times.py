"""Times as people write them, to integer milliseconds since the epoch and back. Pure; knows no clock."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.zones import instant_of, to_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_IN_UTC = _EPOCH.replace(tzinfo=None)
"""Without its zone, which would be written out and is known."""
_MICROSECOND = timedelta(microseconds=1)
_ISO = re.compile(r"[0-9W-]{8,10}[Tt ][0-9:]{2,8}(?:[.,][0-9]{1,6}(?P<finer>[0-9]*[1-9])?[0-9]*)?(?:[Zz]|[+-][0-9:]{2,8})?")
"""What may be tried as a date and time: ``fromisoformat`` alone takes any separator and a zero byte at the end."""
MILLISECONDS_FROM = 1e11
"""An epoch number from here on is milliseconds (1973-03-03), below it is seconds (until 5138)."""

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)

TIME_EXPECTED = (
    "expected an ISO 8601 date and time such as 2030-01-31T09:00:00.250+01:00 (no offset means UTC), "
    "or a number of seconds or milliseconds since 1970"
)
LOCAL_EXPECTED = "expected a local date and time without an offset, such as 2030-01-31T09:00:00.250"
DELAY_EXPECTED = "expected a number of seconds, or a duration such as 1d2h30m10s250ms"


def parse_time_ms(value: str | float) -> int:
    """Milliseconds since the epoch of an ISO 8601 text or an epoch number.

    A fraction of a millisecond is rounded up, so that a message is never early.
    Raises ``ValueError`` with what was expected.
    """
    if isinstance(value, str):
        return _parse_iso_ms(value)
    if not 0 <= value <= 1e15:
        raise ValueError(TIME_EXPECTED)
    return math.ceil(value) if value >= MILLISECONDS_FROM else math.ceil(round(value * 1000, 3))


def _parse_iso_ms(text: str) -> int:
    try:
        moment = _parse_iso(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return to_ms(moment)
    except (ValueError, OverflowError):
        raise ValueError(TIME_EXPECTED) from None


def parse_local_ms(text: str, zone: ZoneInfo) -> int:
    """Milliseconds since the epoch of a local date and time in that zone; see ``shared.zones`` for gaps and folds.

    Raises ``ValueError`` with what was expected.
    """
    try:
        local = _parse_iso(text)
        if local.tzinfo is None:
            return to_ms(instant_of(local, zone))
    except (ValueError, OverflowError):
        pass
    raise ValueError(LOCAL_EXPECTED)


def _parse_iso(text: str) -> datetime:
    """To a microsecond, rounded up: ``fromisoformat`` drops what is finer, and a message must not be early by it either."""
    written = _ISO.fullmatch(text)
    if written is None:
        raise ValueError(text)
    moment = datetime.fromisoformat(text.upper())
    return moment + _MICROSECOND if written["finer"] else moment


def parse_delay_ms(value: str | float) -> int:
    """Milliseconds of a delay: a number of seconds, or a text such as ``1d2h30m10s250ms``.

    Raises ``ValueError`` with what was expected.
    """
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if not value or match is None or len(value) > 40:
            raise ValueError(DELAY_EXPECTED)
        return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS_MS.values(), strict=True) if count)
    if not 0 <= value <= 1e12:
        raise ValueError(DELAY_EXPECTED)
    return math.ceil(round(value * 1000, 3))


def format_delay(delay_ms: int) -> str:
    """As ``parse_delay_ms`` reads it: ``1d2h30m10s250ms``, ``0ms``."""
    parts = []
    for unit, size_ms in _UNITS_MS.items():
        count, delay_ms = divmod(delay_ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0ms"


def format_ms(time_ms: int) -> str:
    """RFC 3339, UTC, with milliseconds: ``2030-01-31T08:00:00.250Z``."""
    return f"{(_EPOCH_IN_UTC + timedelta(milliseconds=time_ms)).isoformat('T', 'milliseconds')}Z"
