"""How often and how long a call is tried. Whether it may be repeated at all is the call's own: ``client.call``."""

from __future__ import annotations

from secrets import SystemRandom

import msgspec

_uniform = SystemRandom().uniform


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential backoff with jitter. ``Retry(tries=1)`` tries once. Raises ``ValueError``."""

    tries: int = 5
    """Most tries of a call, the first included."""
    within_s: float = 60.0
    """No try begins later than this after the first. A try lasts as long as the client's ``timeout_s`` lets it."""
    initial_s: float = 0.2
    """The wait before the second try; each further one may be twice as long."""
    max_s: float = 10.0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"tries: expected at least 1; got {self.tries}")
        for name in ("within_s", "initial_s", "max_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0; got {getattr(self, name)}")

    def wait_s(self, tries: int, passed_s: float, retry_after_s: float | None) -> float | None:
        """The wait after so many tries; ``None`` where there is no further one.

        A wait that the service asks for is the least, and what is random comes on top: callers who were sent away together do
        not come back together.
        """
        if tries >= self.tries:
            return None
        longest_s = min(self.max_s, self.initial_s * 2.0 ** min(tries - 1, 64))
        wait_s = (retry_after_s or 0.0) + _uniform(longest_s / 2, longest_s)
        return wait_s if passed_s + wait_s <= self.within_s else None
