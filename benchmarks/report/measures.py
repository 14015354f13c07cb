"""How a goal reads the lines of its benchmark: a measure gives every comparison that the goal speaks of, and judges none.

A ratio is that of medians; its least and most are what any two of the runs would give. No lines, no comparison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, Protocol

from benchmarks.report.names import LEAST_PENDING, beside, column
from benchmarks.report.text import number
from benchmarks.results import OURS, Line, Spread, spread


class Measured(NamedTuple):
    """One comparison."""

    spread: Spread
    beside: str
    """What stands behind it, in words."""


class Measure(Protocol):
    """Reads the lines of one benchmark."""

    def of(self, lines: list[Line]) -> list[Measured]:
        """Every comparison that can be made; none where something is not measured."""


@dataclass(frozen=True, slots=True)
class Own:
    """A figure of this service in each of the cases that were measured; in any case at all where none is named."""

    figure: str
    cases: tuple[str, ...] = ()

    def of(self, lines: list[Line]) -> list[Measured]:
        cases = self.cases or tuple(dict.fromkeys(line.case for line in lines))
        found = [(case, spread(lines, case, OURS, self.figure)) for case in cases]
        return [Measured(one, "" if len(self.cases) == 1 else case) for case, one in found if one]


@dataclass(frozen=True, slots=True)
class Ratio:
    """This service divided by each of the others, for each figure in each case that both have.

    A peer's percentile at or before the due time is no lateness: it is left out here, and the table calls it early.
    """

    figures: tuple[str, ...]
    cases: tuple[str, ...]
    others: tuple[str, ...]

    def of(self, lines: list[Line]) -> list[Measured]:
        found = [self._of(lines, figure, case, other) for figure in self.figures for case in self.cases for other in self.others]
        return [one for one in found if one]

    def _of(self, lines: list[Line], figure: str, case: str, other: str) -> Measured | None:
        ours, theirs = spread(lines, case, OURS, figure), spread(lines, case, other, figure)
        if ours is None or theirs is None or theirs.least <= 0:
            return None
        where = [column(figure).title] * (len(self.figures) > 1) + [case] * (len(self.cases) > 1)
        behind = f"{number(ours.median)} against {number(theirs.median)} of {other}"
        return Measured(_divided(ours, theirs), f"{behind} ({', '.join(where)})" if where else behind)


@dataclass(frozen=True, slots=True)
class Growth:
    """A figure with many pending divided by the same with 10,000, round by round; nothing unless each case was measured."""

    figures: tuple[str, ...]
    cases: tuple[str, ...]

    def of(self, lines: list[Line]) -> list[Measured]:
        found = [self._of(lines, figure, case) for figure in self.figures for case in self.cases]
        return [one for one in found if one] if all(found) else []

    def _of(self, lines: list[Line], figure: str, case: str) -> Measured | None:
        ratios = growth_ratios(lines, case, figure)
        few, many = spread(lines, beside(case), OURS, figure), spread(lines, case, OURS, figure)
        if not ratios or few is None or many is None:
            return None
        title = f"{column(figure).title}: " if len(self.figures) > 1 else ""
        return Measured(
            Spread(median(ratios), min(ratios), max(ratios), len(ratios)),
            f"{title}{number(many.median)} with {case}, {number(few.median)} with {LEAST_PENDING}",
        )


def growth_ratios(lines: list[Line], case: str, figure: str) -> list[float]:
    """What a round with many pending gave divided by what the round with few gave that came next, for each pair."""
    many, few = (
        [line.figures[figure] for line in lines if (line.case, line.subject) == (one, OURS) and figure in line.figures]
        for one in (case, beside(case))
    )
    return [large / small for large, small in zip(many, few, strict=False) if small > 0]


@dataclass(frozen=True, slots=True)
class Herd:
    """The lateness of the last of a herd divided by the time that a part of the drain rate of its run allows for it."""

    case: str
    count: int
    part: float

    def of(self, lines: list[Line]) -> list[Measured]:
        own = [line.figures for line in lines if (line.case, line.subject) == (self.case, OURS)]
        pairs = [
            (one["last_ms"] / 1000, self.count / (one["drain_per_s"] * self.part))
            for one in own
            if one.get("drain_per_s", 0) > 0 and "last_ms" in one
        ]
        if not pairs:
            return []
        ratios = [last_s / allowed_s for last_s, allowed_s in pairs]
        last_s, allowed_s = (median(values) for values in zip(*pairs, strict=True))
        behind = f"{number(last_s)} s of {number(allowed_s)} s allowed"
        return [Measured(Spread(median(ratios), min(ratios), max(ratios), len(ratios)), behind)]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds until another worker had delivered what a killed one held; never, if one run did not see all of them."""

    case: str
    count: int

    def of(self, lines: list[Line]) -> list[Measured]:
        own = [line.figures for line in lines if (line.case, line.subject) == (self.case, OURS)]
        seconds = [one.get("seconds", math.inf) if one.get("delivered", self.count) >= self.count else math.inf for one in own]
        if not seconds:
            return []
        lost = seconds.count(math.inf)
        middle = math.inf if lost else median(seconds)
        behind = f"not all delivered within the time allowed in {lost} of {len(seconds)} runs" if lost else ""
        return [Measured(Spread(middle, min(seconds), max(seconds), len(seconds)), behind)]


def _divided(one: Spread, other: Spread) -> Spread:
    return Spread(one.median / other.median, one.least / other.most, one.most / other.least, min(one.runs, other.runs))
