"""The pictures of the page in one table. This module and those that it draws with need matplotlib; no other does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.report.bars import drain, memory
from benchmarks.report.drawing import THEME, save
from benchmarks.report.growing import growth
from benchmarks.report.late import lateness_of_ours, lateness_of_peers
from benchmarks.report.layout import PICTURES
from benchmarks.results import Results


def draw(results: list[Results], folder: Path) -> None:
    """Those that there are results for; the others are removed."""
    by_benchmark = {one.benchmark: one for one in results}
    for name in PICTURES:
        benchmark, picture = _PICTURES[name]
        found = by_benchmark.get(benchmark)
        with rc_context(THEME):
            figure = picture(found) if found else None
        if figure is None:
            (folder / name).unlink(missing_ok=True)
        else:
            save(figure, folder / name)


_PICTURES: dict[str, tuple[str, Callable[[Results], Figure | None]]] = {
    "drain.png": ("B1", drain),
    "lateness-peers.png": ("B2", lateness_of_peers),
    "lateness-ours.png": ("B2", lateness_of_ours),
    "memory.png": ("B5", memory),
    "growth.png": ("B6", growth),
}
