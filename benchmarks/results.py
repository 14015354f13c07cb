"""What a run measured: one line of figures for each benchmark, case and subject, as often as it was run.

Kept as JSON, a file for each benchmark, so that one can be run again alone. Only figures of one file are compared: they were
taken in one run, on one machine.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

OURS = "this service"


class Line(msgspec.Struct, frozen=True):
    """What one subject did once."""

    benchmark: str
    """``B1`` to ``B9``."""
    case: str
    """What was varied, in words: ``200/s, 0 others pending``. The same words for every subject that is compared."""
    subject: str
    """``this service``, a peer's name, or a limit's, such as ``limit: read-ack-delete``."""
    figures: dict[str, float]
    """By name with its unit last: ``messages_per_s``, ``p99_ms``. What could not be had is left out."""
    note: str = ""
    """Why something is missing, or what is odd about it."""


class Distribution(msgspec.Struct, frozen=True):
    """Lateness of every message of one run, for a picture: sorted, in milliseconds, at most 1,001 evenly spread quantiles."""

    benchmark: str
    case: str
    subject: str
    quantiles_ms: tuple[float, ...]


class Results(msgspec.Struct):
    """One run of one benchmark."""

    benchmark: str
    started_at: str
    """RFC 3339."""
    seconds: float
    """How long it took."""
    quick: bool
    """Whether the run was shortened: such figures are for trying out."""
    machine: dict[str, str]
    """Processor, cores, memory, system, Python, the server's build and allocator, our commit."""
    versions: dict[str, str]
    """Of each peer and of the packages that limits stand on."""
    settings: dict[str, str]
    """What each subject was set to, in words."""
    lines: list[Line] = []
    distributions: list[Distribution] = []


class Spread(NamedTuple):
    """A figure over all runs."""

    median: float
    least: float
    most: float
    runs: int


def spread(lines: list[Line], case: str, subject: str, figure: str) -> Spread | None:
    """Over the lines of that case and subject; ``None`` where none has the figure."""
    values = [line.figures[figure] for line in lines if (line.case, line.subject) == (case, subject) and figure in line.figures]
    return Spread(median(values), min(values), max(values), len(values)) if values else None


def save(results: Results, folder: Path) -> Path:
    """``<folder>/<benchmark>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{results.benchmark}.json"
    file.write_bytes(msgspec.json.encode(results) + b"\n")
    return file


def load(folder: Path) -> list[Results]:
    """All that were saved there, by name of the benchmark."""
    return [msgspec.json.decode(file.read_bytes(), type=Results) for file in sorted(folder.glob("B*.json"))]
