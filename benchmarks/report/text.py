"""Numbers and words as the page shows them: few digits, ASCII, narrow lines."""

from __future__ import annotations

import math
import textwrap
import unicodedata

from benchmarks.results import Spread

WIDTH = 126
DIGITS = 3
"""Significant ones: what differs between two runs of the same thing is not shown."""
_IN_ASCII = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00d7": "x",
                           "\u00b1": "+-", "\u2264": "<=", "\u2265": ">=", "\u2019": "'", "\u2018": "'",
                           "\u201c": '"', "\u201d": '"', "\u2026": "..."})  # fmt: skip


def number(value: float, digits: int = DIGITS) -> str:
    """``13,000``, ``41.7``, ``0.35``; ``never`` for what did not come to its end."""
    if math.isinf(value):
        return "never"
    rounded = float(f"{value:.{digits}g}")
    if rounded == int(rounded):
        return f"{rounded:,.0f}"
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{min(decimals, 4)}f}"


def spread_text(spread: Spread, unit: str = "") -> str:
    """``median (least-most)``; the median alone where no run differs from it by a digit that is shown."""
    middle, least, most = number(spread.median), number(spread.least), number(spread.most)
    shown = f"{middle} {unit}".rstrip()
    if least == middle == most:
        return shown
    between = " to " if spread.least < 0 or not math.isfinite(spread.most) else "-"
    return f"{shown} ({least}{between}{most})"


def plain(text: str) -> str:
    """What others wrote, as one line of ASCII that means nothing to Markdown."""
    ascii_text = unicodedata.normalize("NFKD", text.translate(_IN_ASCII)).encode("ascii", "replace").decode()
    return " ".join(ascii_text.split()).replace("`", "'").replace("|", "/").replace("](", "] (").replace("<", "&lt;")


def paragraph(text: str) -> list[str]:
    """Wrapped, with an empty line after it."""
    return [*textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False), ""]


def bullets(texts: list[str]) -> list[str]:
    """A list, with an empty line after it; nothing where there is nothing."""
    wrapped = [
        textwrap.wrap(f"- {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for text in texts
    ]
    return [line for lines in wrapped for line in lines] + ([""] if texts else [])


def grid(header: list[str], rows: list[list[str]], *, numbers_from: int | None = None) -> list[str]:
    """A Markdown table with an empty line after it; columns from ``numbers_from`` on are set to the right."""
    if not rows:
        return []
    first = len(header) if numbers_from is None else numbers_from
    rules = ["---" if place < first else "---:" for place in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rules, *rows)] + [""]
