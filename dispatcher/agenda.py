"""When each lane of each partition is to be looked at next, by what the last look or a wake-up since told of it."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

Place = tuple[int, str]
"""Partition and lane."""
NEVER = float("inf")
NOW = float("-inf")


class Agenda:
    """Times are those of the monotonic clock. A place that was taken is at nothing until something is told of it."""

    def __init__(self, places: Iterable[Place]) -> None:
        """Every place is due at once: nothing is known of any."""
        self._at_s: dict[Place, float] = dict.fromkeys(places, NOW)

    def sooner(self, place: Place, at_s: float) -> bool:
        """Looks at the place at that time, unless it is looked at before; says whether there is such a place."""
        if place not in self._at_s:
            return False
        self._at_s[place] = min(self._at_s[place], at_s)
        return True

    def all_now(self) -> None:
        """Looks at every place at once, whatever is known."""
        self._at_s = dict.fromkeys(self._at_s, NOW)

    def due(self, partition: int, now_s: float) -> list[tuple[Place, float]]:
        """The places of a partition whose time has come by then, and their times, earliest first."""
        found = [(place, at_s) for place, at_s in self._at_s.items() if at_s <= now_s and place[0] == partition]
        return sorted(found, key=itemgetter(1))

    def take(self, place: Place) -> None:
        """Somebody looks now: what is told from here on counts."""
        self._at_s[place] = NEVER

    @property
    def next_s(self) -> float | None:
        """When the next place is due; ``None`` where nothing is known to wait."""
        earliest = min(self._at_s.values(), default=NEVER)
        return None if earliest == NEVER else earliest
