"""What a judge says of a history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "lost", "early", "overlap", "repeated", "duplicate", "attempts", "ran though cancelled", "strange", "contradiction", "unsafe",
    "wrongly dead", "unsettled", "refused", "leftover", "crowded",
]  # fmt: skip
"""Ways to break a promise; ``tests.chaos.checker`` says what each means."""


@dataclass(frozen=True, slots=True)
class Violation:
    kind: Kind
    ref: str
    text: str
    """What happened, for a person: ids, workers, times."""


@dataclass(slots=True)
class Verdict:
    violations: list[Violation] = field(default_factory=list)
    accepted: int = 0
    runs: int = 0
    retries: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """Messages by what became of them."""
    explained: Counter[str] = field(default_factory=Counter)
    """Second deliveries by what explains them."""
    allowed: Counter[str] = field(default_factory=Counter)
    """What is allowed, and counted all the same."""
    undone: Counter[str] = field(default_factory=Counter)
    """What a store that died, or was failed over, had answered for and forgot."""

    @property
    def ok(self) -> bool:
        return not self.violations

    def violate(self, kind: Kind, ref: str, text: str) -> None:
        self.violations.append(Violation(kind, ref, text))

    def count(self, *kinds: Kind) -> int:
        return sum(1 for violation in self.violations if violation.kind in kinds)
