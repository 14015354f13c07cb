"""Cron expressions: when they fire, in a time zone, through every change of its clocks.

``minute hour day-of-month month day-of-week``, with ``second`` before it where there are six fields, or ``@hourly`` and the like.
Names, lists, ranges, steps; Sunday is 0 and 7; ``L``, ``LW`` and ``MON#2``. Where neither day field begins with ``*``, one of the
two has to match, else both (POSIX; Vixie cron). The parser is cronsim's, which follows Debian's cron.

Where the clocks change, Debian's rules hold (``cron(8)``): what fires at fixed times of the day (neither minute nor hour begins
with ``*``) fires once, right after the gap for what was skipped, and at the first of times that come twice. All else goes by the
time that has really passed: every 15 minutes stays every 15 minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.zones import instant_of, is_skipped, local_at, to_ms

MOST_CHARACTERS = 200
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
CRON_EXPECTED = f"expected a cron expression of five or six fields such as */15 9-17 * * MON-FRI, or one of {', '.join(MACROS)}"
_SECOND = timedelta(seconds=1)


class Cron:
    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """Raises ``ValueError`` with what was expected, also for an expression that never fires."""
        text = MACROS.get(expression.strip().lower(), expression)
        self._zone = zone
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"{CRON_EXPECTED}, of at most {MOST_CHARACTERS} characters")
        try:
            CronSim(text, datetime(2000, 1, 1))  # noqa: DTZ001 - only to try the expression
        except CronSimError as error:
            raise ValueError(f"{CRON_EXPECTED}: {str(error).lower()}") from None
        self._text = text
        *_, minute, hour, _, _, _ = text.split()
        self._fixed = not minute.startswith("*") and not hour.startswith("*")

    def after(self, time_ms: int) -> int | None:
        """The first time after that one, in milliseconds since the epoch; ``None`` where there is none in 50 years."""
        local = local_at(time_ms, self._zone)
        for found in CronSim(self._text, local.replace(tzinfo=None) if self._fixed else local):
            at_ms = to_ms(self._instant(found))
            if at_ms > time_ms:  # else it came a first time already, before the clocks were set back
                return at_ms
        return None

    def _instant(self, found: datetime) -> datetime:
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        return _end_of_gap(found, self._zone) if is_skipped(found, self._zone) else instant_of(found, self._zone)


def _end_of_gap(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the clocks jump over that time: the first local time that is shown again, found by bisection."""
    low, high = 0, round((instant_of(local, zone).astimezone(zone).replace(tzinfo=None) - local) / _SECOND)
    while low < high:
        middle = (low + high) // 2
        if is_skipped(local + middle * _SECOND, zone):
            low = middle + 1
        else:
            high = middle
    return instant_of(local + low * _SECOND, zone)
