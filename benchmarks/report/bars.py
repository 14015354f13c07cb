"""Bars: a figure of each subject in one case, best first."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.report import names
from benchmarks.report.drawing import colour_of, log_scale, new_axes, weight_of
from benchmarks.report.text import number
from benchmarks.results import Line, Results, spread


def drain(results: Results) -> Figure | None:
    """Bars of messages per second."""
    return _bars(
        results.lines, names.DRAIN, "messages_per_s", "Messages per second, one worker process; more is better", log=True
    )


def memory(results: Results) -> Figure | None:
    """Bars of bytes per pending message, in the case that most subjects have."""
    case = names.SMALL_BODIES[0]
    return _bars(
        results.lines, case, "bytes_per_message", "Bytes per pending message, 100-byte bodies; less is better", log=False
    )


def _bars(lines: list[Line], case: str, figure: str, title: str, *, log: bool) -> Figure | None:
    subjects = dict.fromkeys(line.subject for line in lines if line.case == case)
    found = [(subject, one) for subject in subjects if (one := spread(lines, case, subject, figure)) and one.least > 0]
    if not found:
        return None
    found.sort(key=lambda pair: pair[1].median, reverse=names.column(figure).more_is_better is False)
    drawing, axes = new_axes(0.8 + 0.36 * len(found), title)
    for place, (subject, one) in enumerate(found):
        axes.barh(place, one.median, color=colour_of(subject), height=0.72)
        axes.plot([one.least, one.most], [place, place], color="#222222", linewidth=1.2)
        axes.annotate(
            number(one.median), (one.most, place), (6, 0), textcoords="offset points", va="center", fontweight=weight_of(subject)
        )
    axes.set_yticks(range(len(found)), [subject for subject, _ in found])
    for label, (subject, _) in zip(axes.get_yticklabels(), found, strict=True):
        label.set_fontweight(weight_of(subject))
    most = max(one.most for _, one in found)
    if log:
        log_scale(axes, "x")
        axes.set_xlim(min(one.least for _, one in found) / 2, most * 1.9)
    else:
        axes.set_xlim(0, most * 1.1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(visible=False, axis="y")
    return drawing
