"""The order in which a process accepts ordered messages, for those that are due in the same millisecond.

Each gets the number that comes after that of the one before. The first number is drawn, so that two processes hardly ever give
the same one, from the lower half of what there is: a process accepts 2**31 of them before it may begin again at 0. No clock.
"""

from __future__ import annotations

from secrets import randbits, token_bytes

NUMBER_BYTES = 4
RANDOM_BYTES = 8
STEP_BACK_MS = 1_000
"""A clock that was set back by less than this is waited for; past it the order begins anew."""


class Turns:
    """Of one process."""

    def __init__(self) -> None:
        self._next = randbits(8 * NUMBER_BYTES - 1)
        self._latest_ms = 0

    def take(self, count: int, now_ms: int) -> tuple[bytes, int]:
        """The seed of a request of so many messages, which begins with the number of its first, and when it is accepted.

        That is never before the request before: several partitions have several clocks, and each is corrected now and then.
        """
        number, self._next = self._next, (self._next + count) % 2 ** (8 * NUMBER_BYTES)
        self._latest_ms = self._latest_ms if 0 < self._latest_ms - now_ms < STEP_BACK_MS else now_ms
        return number.to_bytes(NUMBER_BYTES, "big") + token_bytes(RANDOM_BYTES), self._latest_ms
