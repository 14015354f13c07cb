"""What a handler can say besides returning (delivered) and raising anything else (retry by policy)."""

from __future__ import annotations

from shared.store.messages import Response

LONGEST_MS = 31_536_000_000
"""A year."""
DAY_MS = 86_400_000


class Retry(Exception):
    """Raise it to be run again after ``after_ms`` milliseconds instead of after the policy's backoff.

    With ``counts=False`` the attempt is not counted: for "not now" answers such as a rate limit. That is bounded, by
    number and by age (see ``consumers.verdict``); beyond the bound it counts.
    """

    after_ms: int | None = None
    counts: bool = True
    holds_back: bool = False
    """Whether it was not tried at all, and is as if it had not been read: it is no retry, of whatever kind."""
    free_ms: int = DAY_MS
    """How long after the first retry of the message that did not count others do not count either."""
    response: Response | None = None
    """What a webhook was answered."""

    def __init__(self, after_ms: int, *, counts: bool = True, reason: str = "asked to be retried") -> None:
        super().__init__(reason)
        self.after_ms = after_ms
        self.counts = counts
        if self.wanted_ms is None:
            raise ValueError(f"after_ms: expected 0 to {LONGEST_MS} milliseconds, got {after_ms!r}")

    @property
    def wanted_ms(self) -> int | None:
        """The wait; ``None`` where a subclass left it unset or set it to what is none: then the policy decides."""
        after_ms = self.after_ms
        return after_ms if isinstance(after_ms, int) and 0 <= after_ms <= LONGEST_MS else None


class Dead(Exception):
    """Raise it where another attempt would not help: the message goes to the dead letters at once."""

    response: Response | None = None
    """What a webhook was answered."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
