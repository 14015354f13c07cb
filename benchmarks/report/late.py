"""Lateness as curves, from the least late message to the latest: the last of a thousand have as much room as the first half."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.report import names
from benchmarks.report.curves import MOST_NINES, apart, early_part, lateness, nines
from benchmarks.report.drawing import OUR_COLOUR, log_scale, new_axes
from benchmarks.report.text import number
from benchmarks.results import OURS, Results

COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#000000")
"""Of Okabe and Ito's palette, without the service's own and without yellow, which is pale on white."""
STYLES = ("-", "--", ":")
FLOOR_MS = 0.1
"""Less is drawn as this: the axis is logarithmic, and the clocks do not tell less."""
_AT_MOST = MOST_NINES + 0.35
"""Where the most stands on the axis of quantiles."""
_FIRST_SHOWN = 2
"""Of the points of a curve: what is less late than this part of the messages may lie below the axis."""
_FEW_DECADES = 2.5
"""So few need ticks between them."""


def lateness_of_peers(results: Results) -> Figure | None:
    """A curve for each subject at 200 per second."""
    case = names.lateness_case("200/s", names.NONE_PENDING)
    subjects = sorted({one.subject for one in results.distributions if one.case == case}, key=lambda name: (name == OURS, name))
    curves = []
    for place, subject in enumerate(subjects):
        early = early_part(results.distributions, case, subject)
        label = f"{subject} ({number(100 * early)} % early)" if early else subject
        look = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": STYLES[place // len(COLOURS) % len(STYLES)],
            "linewidth": 1.6,
        }
        if subject == OURS:
            look = {"color": OUR_COLOUR, "linestyle": "-", "linewidth": 3.2}
        curves.append((label, lateness(results.distributions, case, subject), look))
    return _lateness("Lateness at 200 per second, ms", curves)


def lateness_of_ours(results: Results) -> Figure | None:
    """Rates by colour, what else is pending by line."""
    curves = []
    for colour, rate in zip(("#56B4E9", "#0072B2", "#000000"), names.LATENESS_RATES, strict=True):
        for style, pending in (("-", names.NONE_PENDING), ("--", names.MANY_PENDING)):
            case = names.lateness_case(rate, pending)
            look = {"color": colour, "linestyle": style, "linewidth": 2.2}
            curves.append((case.replace(" others", ""), lateness(results.distributions, case, OURS), look))
    return _lateness("Lateness of this service, ms, by rate and by others pending", curves)


def _lateness(title: str, curves: list[tuple[str, list[float], dict[str, Any]]]) -> Figure | None:
    """Quantiles to the right, the most beyond them; each curve is named at its end."""
    curves = [(label, [max(value, FLOOR_MS) for value in values], look) for label, values, look in curves if values]
    if not curves:
        return None
    drawing, axes = new_axes(5.0, title)
    for _, values, look in curves:
        axes.plot(nines(), values[:-1], **look)
        axes.plot([MOST_NINES, _AT_MOST], values[-2:], **{**look, "linewidth": 1.0, "alpha": 0.6})
        axes.plot([_AT_MOST], values[-1:], marker="o", markersize=5, color=look["color"])
    log_scale(axes, "y")
    axes.set_xlim(0, _AT_MOST + 0.05)
    axes.set_xticks([math.log10(2), 1, 2, MOST_NINES, _AT_MOST], ["50 %", "90 %", "99 %", "99.9 %", "max"])
    axes.set_xlabel("messages, from the least late to the latest")
    low, high = min(values[_FIRST_SHOWN] for _, values, _ in curves), max(max(values) for _, values, _ in curves)
    axes.set_ylim(max(low / 1.5, FLOOR_MS / 1.2), high * 1.8)
    if math.log10(high / low) < _FEW_DECADES:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    _name_at_their_ends(axes, curves)
    return drawing


def _name_at_their_ends(axes: Any, curves: list[tuple[str, list[float], dict[str, Any]]]) -> None:
    bottom, top = (math.log10(limit) for limit in axes.get_ylim())
    ends = [math.log10(values[-1]) for _, values, _ in curves]
    for (label, values, look), place in zip(curves, apart(ends, (top - bottom) * 0.054), strict=True):
        axes.annotate(
            label, (_AT_MOST, values[-1]), (_AT_MOST + 0.17, 10**place), color=look["color"], va="center", annotation_clip=False,
            fontweight="bold" if look["linewidth"] > 3 else "normal",
            arrowprops={"arrowstyle": "-", "color": look["color"], "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
