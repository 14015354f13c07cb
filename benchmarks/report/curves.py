"""What the pictures show, as numbers: quantiles over several runs, and where labels beside a curve have room."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from benchmarks.results import Distribution

MOST_NINES = 3.0
"""The last quantile that is drawn as one: 99.9 %. The most itself stands beyond."""
POINTS = 121


def nines() -> list[float]:
    """Places on an axis where 0 is the least, 1 is 90 %, 2 is 99 %, 3 is 99.9 %."""
    return [MOST_NINES * point / (POINTS - 1) for point in range(POINTS)]


def lateness(distributions: list[Distribution], case: str, subject: str) -> list[float]:
    """Milliseconds at each place of ``nines()`` and at the most: medians of the runs. Empty where there is no run."""
    runs = [one.quantiles_ms for one in distributions if (one.case, one.subject) == (case, subject) and one.quantiles_ms]
    if not runs:
        return []
    quantiles = [1 - 10**-place for place in nines()] + [1.0]
    return [median(_at(run, quantile) for run in runs) for quantile in quantiles]


def _at(values: tuple[float, ...], quantile: float) -> float:
    """Between two of the values in a straight line."""
    place = quantile * (len(values) - 1)
    below = min(int(place), len(values) - 1)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def early_part(distributions: list[Distribution], case: str, subject: str) -> float:
    """Which part of the messages started before their time."""
    values = [value for one in distributions if (one.case, one.subject) == (case, subject) for value in one.quantiles_ms]
    return sum(value < 0 for value in values) / len(values) if values else 0.0


def apart(places: list[float], least: float) -> list[float]:
    """The same places in their order, moved so that neighbours are ``least`` apart: where labels can stand."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for _ in range(200):  # each round halves what overlaps; a few are enough for the labels of a picture
        for below, above in pairwise(order):
            overlap = least - (moved[above] - moved[below])
            if overlap > 0:
                moved[below] -= overlap / 2
                moved[above] += overlap / 2
    return moved
