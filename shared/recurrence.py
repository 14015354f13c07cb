"""Recurring schedules: what is stored of one, and which of its occurrences are to be made now. Pure; knows no clock."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, takewhile
from typing import Literal

from msgspec import Struct

from shared.cron import Cron
from shared.zones import zone_of

Overlap = Literal["allow", "skip"]
CatchUp = Literal["all", "latest", "none"]
ON_TIME_MS = 10_000
"""An occurrence that is later than this was missed: nobody was there to make it."""
MOST_COUNTED = 100
"""Missed occurrences are counted up to this number at a time."""
_LOOK_BACK_MS = tuple(10_000 * 30**step for step in range(9))


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When something recurs: by ``cron`` in a time zone, or ``every`` so many milliseconds of time that passes."""

    cron: str | None = None
    timezone: str = "UTC"
    every_ms: int | None = None
    anchor_ms: int = 0
    """Where the intervals of ``every_ms`` are counted from: the first occurrence is at the end of the first."""
    start_ms: int | None = None
    """Nothing occurs before it."""
    end_ms: int | None = None
    """Nothing occurs after it."""

    def after(self, time_ms: int) -> int | None:
        """The first occurrence after that time, in milliseconds since the epoch; ``None`` where there is none."""
        if self.start_ms is not None:
            time_ms = max(time_ms, self.start_ms - 1)
        if self.cron is not None:
            found = _cron(self.cron, self.timezone).after(time_ms)
        else:
            every_ms = self.every_ms or 1
            found = self.anchor_ms + max(1, (time_ms - self.anchor_ms) // every_ms + 1) * every_ms
        return None if found is None or (self.end_ms is not None and found > self.end_ms) else found

    def all_after(self, time_ms: int) -> Iterator[int]:
        """Every occurrence after that time, earliest first. May have no end."""
        while (found := self.after(time_ms)) is not None:
            yield found
            time_ms = found

    def last_until(self, time_ms: int, first_ms: int) -> int:
        """The last occurrence at or before that time, of those from ``first_ms``, which is one, on."""
        if self.every_ms is not None:
            last_ms = time_ms if self.end_ms is None else min(time_ms, self.end_ms)
            return max(first_ms, self.anchor_ms + (last_ms - self.anchor_ms) // self.every_ms * self.every_ms)
        for back_ms in _LOOK_BACK_MS:  # each step back sees few, since the one before saw none
            start_ms = max(first_ms, time_ms - back_ms)
            *_, last_ms = (None, *self._between(start_ms, time_ms))
            if last_ms is not None:
                return last_ms
        return first_ms

    def _between(self, first_ms: int, last_ms: int) -> Iterator[int]:
        """Those from one time to another, both included."""
        for found in self.all_after(first_ms - 1):
            if found > last_ms:
                return
            yield found


@lru_cache(maxsize=10_000)
def _cron(expression: str, zone: str) -> Cron:
    return Cron(expression, zone_of(zone))


class Definition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule but for the message that it makes."""

    rule: Rule
    topic: str
    max_runs: int | None = None
    overlap: Overlap = "allow"
    """``skip``: an occurrence is left out while the message of the one before is not over."""
    catch_up: CatchUp = "latest"
    """What becomes of occurrences that were missed."""
    catch_up_within_ms: int | None = None
    """Those missed longer ago are not made up."""
    delay_ms: int = 0
    """How long after its occurrence a message is due."""
    spread_ms: int = 0
    expires_after_ms: int | None = None


class Turn(Struct, frozen=True):
    """What is to be made of a schedule now."""

    occurrences: tuple[int, ...]
    """Their times, earliest first."""
    next_ms: int | None
    """The next one after those; ``None`` where the schedule has come to its end."""
    missed: int = 0
    """How many before them are not made up; counted up to ``MOST_COUNTED``."""
    overlapped: int = 0
    """How many before them are left out, since one of this very turn would overlap them."""
    next_if_skipped_ms: int | None = None
    """The next one where these are not made either, since the last message is not over."""


def turn(definition: Definition, next_ms: int, now_ms: int, runs: int, most: int) -> Turn:
    """The occurrences due by ``now_ms``, of which ``next_ms`` is the first: at most ``most``; the rest is the next turn's.

    ``runs``: how many were made before.
    """
    rule = definition.rule
    first_ms = _first_to_make(definition, next_ms, now_ms)
    missed = 0 if first_ms == next_ms else _count(rule, next_ms, now_ms if first_ms is None else min(first_ms - 1, now_ms))
    if first_ms is None or first_ms > now_ms:
        return Turn((), first_ms, missed)
    left = most if definition.max_runs is None else min(most, definition.max_runs - runs)
    if left <= 0:
        return Turn((), None, missed)
    due, following = _due(rule, first_ms, now_ms, left)
    made = due[-1:] if definition.overlap == "skip" else due
    spent = definition.max_runs is not None and runs + len(made) >= definition.max_runs
    return Turn(made, None if spent else following, missed, len(due) - len(made), following)


def _due(rule: Rule, first_ms: int, now_ms: int, most: int) -> tuple[tuple[int, ...], int | None]:
    """The occurrences from ``first_ms``, which is one, until now, at most so many; and the one after them."""
    due = [first_ms]
    for at_ms in rule.all_after(first_ms):
        if at_ms > now_ms or len(due) == most:
            return tuple(due), at_ms
        due.append(at_ms)
    return tuple(due), None


def _count(rule: Rule, first_ms: int, last_ms: int) -> int:
    later = takewhile(lambda at_ms: at_ms <= last_ms, rule.all_after(first_ms))
    return 1 + sum(1 for _ in islice(later, MOST_COUNTED - 1))


def _first_to_make(definition: Definition, next_ms: int, now_ms: int) -> int | None:
    """The first occurrence that is not given up as missed; it may be to come. ``None`` where there is none."""
    rule, on_time_ms = definition.rule, now_ms - ON_TIME_MS
    if next_ms >= on_time_ms:
        return next_ms
    first_ms: int | None = next_ms
    if definition.catch_up == "latest":
        first_ms = min(rule.last_until(now_ms, next_ms), rule.after(on_time_ms - 1) or now_ms)
    elif definition.catch_up == "none":
        first_ms = rule.after(on_time_ms - 1)
    within_ms = definition.catch_up_within_ms
    if first_ms is not None and within_ms is not None and first_ms < now_ms - max(within_ms, ON_TIME_MS):
        first_ms = rule.after(now_ms - max(within_ms, ON_TIME_MS) - 1)
    return first_ms
