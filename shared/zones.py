"""Time zones by their IANA names, and the instants of local times in them.

A zone's offset changes, so a local time may not exist (the **gap** in spring) or come twice (the **fold** in autumn). The rules
are those of RFC 5545, section 3.3.5: a time in the gap moves forward by what was skipped, one in the fold is the earlier.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

ZONE_EXPECTED = "expected the name of an IANA time zone such as Europe/Berlin or UTC"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name. Raises ``ValueError`` with what was expected."""
    if name not in _names():
        raise ValueError(ZONE_EXPECTED)
    return ZoneInfo(name)


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a local time without a zone: moved forward out of a gap, the earlier in a fold."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def is_skipped(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of the zone never show that local time."""
    return instant_of(local, zone).astimezone(zone).replace(tzinfo=None) != local


def local_at(time_ms: int, zone: ZoneInfo) -> datetime:
    """What the clocks of the zone show at that instant, with its offset."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(zone)


def to_ms(instant: datetime) -> int:
    """Milliseconds since the epoch, a fraction rounded up, so that nothing is early."""
    return -(-((instant - _EPOCH) // _MICROSECOND) // 1000)


def format_local(time_ms: int, zone: ZoneInfo) -> str:
    """RFC 3339 with the zone's offset at that instant and milliseconds: ``2030-07-31T09:00:00.250+02:00``."""
    return local_at(time_ms, zone).isoformat("T", "milliseconds")
