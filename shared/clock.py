"""Redis's clock, as seen from here without asking each time.

The host's wall clock may be wrong or step; its monotonic clock does neither. ``RedisClock`` keeps the difference between
the two, from the shortest of several round trips (Cristian's algorithm, 1989): the error is at most half that trip.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

SAMPLES = 5


class RedisClock:
    """The time of one Redis server in milliseconds since the epoch."""

    def __init__(self) -> None:
        self._offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        self.round_trip_us = 0
        self.synchronised = False

    async def synchronise(self, redis_time_us: Callable[[], Awaitable[int]]) -> None:
        """Takes ``SAMPLES`` readings and keeps the one with the shortest round trip. Raises what the call raises."""
        best: tuple[int, int] | None = None
        for _ in range(SAMPLES):
            before = time.monotonic_ns() // 1000
            theirs = await redis_time_us()
            after = time.monotonic_ns() // 1000
            sample = (after - before, theirs - (before + after) // 2)
            best = min(best, sample) if best else sample
        assert best is not None  # noqa: S101 - SAMPLES is positive
        self.round_trip_us, self._offset_us = best
        self.synchronised = True

    def now_ms(self) -> int:
        return self.at_ms(time.monotonic_ns())

    def at_ms(self, monotonic_ns: int) -> int:
        """Redis's time at that reading of the monotonic clock."""
        return (monotonic_ns // 1000 + self._offset_us) // 1000

    def monotonic_s(self, redis_ms: float) -> float:
        """The reading of ``time.monotonic()`` at that time of Redis."""
        return (redis_ms * 1000 - self._offset_us) / 1e6

    def difference_ms(self) -> int:
        """Host wall clock minus Redis's clock, for people: what a wrong host clock looks like."""
        return time.time_ns() // 1_000_000 - self.now_ms()
