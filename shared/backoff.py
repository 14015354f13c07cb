"""How long to wait after a failure. The one place where a backoff is computed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with jitter and a cap: ``initial * factor ** (failures - 1)``, spread by ``± jitter``, at most ``max``.

    Or a list of waits, the last of which holds for every failure after it, spread by ``± jitter`` as well.
    """

    initial_ms: int
    max_ms: int
    factor: float = 2.0
    jitter: float = 0.2
    """0 to 1: the share of the delay by which it may be shorter or longer."""
    delays_ms: tuple[int, ...] = ()
    """Where there are any, these are the waits; ``initial_ms``, ``factor`` and ``max_ms`` say nothing then."""

    def delay_ms(self, failures: int) -> int:
        """The wait after the ``failures``-th failure in a row (from 1), in whole milliseconds, at least 0."""
        return self._varied(failures, random.uniform(-1, 1))  # noqa: S311 - jitter is no secret

    def range_ms(self, failures: int) -> tuple[int, int]:
        """The shortest and the longest that wait may be."""
        return self._varied(failures, -1), self._varied(failures, 1)

    def _varied(self, failures: int, by: float) -> int:
        """``by``: from -1 to 1, the share of the jitter."""
        if self.delays_ms:
            plain = float(self.delays_ms[min(max(failures, 1), len(self.delays_ms)) - 1])
            return round(plain * (1 + self.jitter * by))
        exponent = min(max(failures, 1) - 1, 64)
        plain = min(float(self.max_ms), self.initial_ms * self.factor**exponent)
        return max(0, min(self.max_ms, round(plain * (1 + self.jitter * by))))


OUTAGE = Backoff(initial_ms=50, max_ms=2_000, factor=2.0, jitter=0.3)
"""How every process waits while Redis refuses: short at first, never longer than two seconds."""
