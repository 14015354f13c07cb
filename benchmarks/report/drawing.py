"""How every picture looks: colours that everyone can tell apart, one of them for the service alone, axes, and small files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
from PIL import Image

from benchmarks.report import names
from benchmarks.results import OURS

OUR_COLOUR = "#D55E00"
LIMIT_COLOUR = "#BBBBBB"
PEER_COLOUR = "#5B7C99"
THEME = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E6E6E6",
         "axes.axisbelow": True, "axes.titlelocation": "left", "axes.titlesize": 12, "axes.titleweight": "bold"}  # fmt: skip
COLOURS_OF_A_FILE = 128
"""Lines on white need no more, and a file with a palette is a third as large."""


def save(drawing: Figure, file: Path) -> None:
    """PNG."""
    whole = io.BytesIO()
    drawing.savefig(whole, format="png", dpi=110)
    Image.open(whole).convert("RGB").quantize(COLOURS_OF_A_FILE).save(file, optimize=True)


def new_axes(height: float, title: str) -> tuple[Figure, Any]:
    drawing = Figure(figsize=(9, height), layout="constrained")
    axes = drawing.subplots()
    axes.set_title(title)
    return drawing, axes


def log_scale(axes: Any, which: str) -> None:
    """Decades with plain numbers."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def colour_of(subject: str) -> str:
    if subject == OURS:
        return OUR_COLOUR
    return LIMIT_COLOUR if subject.startswith(names.LIMIT) else PEER_COLOUR


def weight_of(subject: str) -> str:
    return "bold" if subject == OURS else "normal"
