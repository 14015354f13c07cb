"""How much a run of the benchmarks does, and with whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.results import Distribution, Line
from benchmarks.subjects.subject import Subject

Found = Line | Distribution
Scenario = Callable[["Plan"], Iterator[Found]]


@dataclass(frozen=True)
class Plan:
    peers: Sequence[Subject]
    runs: int
    """Of each measurement."""
    quick: bool
    """Smaller and fewer: for trying out."""
    seconds: int
    """How long messages fall due where lateness is measured."""
    most_pending: int
    """Where growth ends: as far as memory allows."""
    doing: Callable[[str], None]
    """Told what is being measured."""

    def sized(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def rounds(self) -> range:
        return range(self.runs)
