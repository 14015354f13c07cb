"""Growth: what rates and lateness are with more pending, relative to the least."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report import names
from benchmarks.report.drawing import OUR_COLOUR
from benchmarks.report.measures import growth_ratios
from benchmarks.results import Line, Results


def growth(results: Results) -> Figure | None:
    """Two panels: rates, of which less is worse, and lateness, of which more is; with the bounds of the goals."""
    cases = (names.LEAST_PENDING, *names.UP_TO_A_MILLION, names.TEN_MILLION)
    drawing = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    drawn = [
        _relative(left, results.lines, cases, {"accept_per_s": "accepted/s", "drain_per_s": "drained/s"}),
        _relative(right, results.lines, cases, {"p50_ms": "lateness p50", "p99_ms": "lateness p99"}),
    ]
    for axes, title, bounds in ((left, "Rates", (0.75, 0.5)), (right, "Lateness", (1.25, 1.5))):
        axes.set_title(f"{title}: 1 with 10,000 pending")
        axes.plot([0, 2.5, 2.5, 3], [bounds[0], bounds[0], bounds[1], bounds[1]], color="#888888", linestyle=":", label="goal")
        axes.set_xticks(range(len(cases)), [_count(case) for case in cases])
        axes.set_xlabel("pending")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
        axes.legend(frameon=False, loc="best")
    return drawing if any(drawn) else None


def _relative(axes: Any, lines: list[Line], cases: tuple[str, ...], figures: dict[str, str]) -> bool:
    """A line for each figure; whether there is any."""
    drawn = False
    for (figure, label), colour, marker in zip(figures.items(), ("#0072B2", OUR_COLOUR), "os", strict=True):
        found = {place: ratios for place, case in enumerate(cases) if (ratios := growth_ratios(lines, case, figure))}
        if not found:
            continue
        middles = [1.0, *(median(ratios) for ratios in found.values())]
        lows, highs = ([0.0, *(abs(edge(ratios) - median(ratios)) for ratios in found.values())] for edge in (min, max))
        axes.errorbar(
            [0, *found], middles, [lows, highs], label=label, color=colour, marker=marker, capsize=4, linewidth=2,
        )  # fmt: skip
        drawn = True
    return drawn


def _count(case: str) -> str:
    return case.removesuffix(" pending").replace(",000,000", " million")
