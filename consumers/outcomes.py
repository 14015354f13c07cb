"""What a handler can say besides returning (delivered) and raising anything else (retry by policy)."""

from __future__ import annotations


class Retry(Exception):
    """Raise it to be run again after ``after_ms`` milliseconds instead of after the policy's backoff.

    With ``counts=False`` the attempt is not counted: for "not now" answers such as a rate limit. That is bounded, by
    number and by age (see ``consumers.verdict``); beyond the bound it counts.
    """

    def __init__(self, after_ms: int, *, counts: bool = True, reason: str = "asked to be retried") -> None:
        if not isinstance(after_ms, int) or not 0 <= after_ms <= 31_536_000_000:
            raise ValueError(f"after_ms: expected 0 to 31536000000 milliseconds, got {after_ms!r}")
        super().__init__(reason)
        self.after_ms = after_ms
        self.counts = counts


class Dead(Exception):
    """Raise it where another attempt would not help: the message goes to the dead letters at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
