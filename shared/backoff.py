"""How long to wait after a failure. The one place where a backoff is computed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with jitter and a cap: ``initial * factor ** (failures - 1)``, spread by ``± jitter``, at most ``max``."""

    initial_ms: int
    max_ms: int
    factor: float = 2.0
    jitter: float = 0.2
    """0 to 1: the share of the delay by which it may be shorter or longer."""

    def delay_ms(self, failures: int) -> int:
        """The wait after the ``failures``-th failure in a row (from 1), in whole milliseconds, at least 0."""
        exponent = min(max(failures, 1) - 1, 64)
        plain = min(float(self.max_ms), self.initial_ms * self.factor**exponent)
        spread = plain * (1 + self.jitter * random.uniform(-1, 1))  # noqa: S311 - jitter is no secret
        return max(0, min(self.max_ms, round(spread)))


OUTAGE = Backoff(initial_ms=50, max_ms=2_000, factor=2.0, jitter=0.3)
"""How every process waits while Redis refuses: short at first, never longer than two seconds."""
