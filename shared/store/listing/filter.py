"""What is asked for in a list."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from shared.store.messages import View

Order = Literal["oldest", "newest"]
"""Which comes first."""
State = Literal["waiting", "scheduled", "retrying", "ready", "running", "dead", "delivered", "expired", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
"""``waiting`` is both ``scheduled`` and ``retrying``."""
_WAITING = frozenset({"scheduled", "retrying"})
_LIVING = _WAITING | {"waiting", "ready", "running"}


class Filter(Struct, frozen=True, kw_only=True):
    """What is asked for; what is ``None`` does not matter. Times are milliseconds since the epoch, both ends included."""

    state: State = "waiting"
    topic: str | None = None
    label: str | None = None
    error: str | None = None
    """A text in the reason or the last error of a dead letter."""
    due_from: int | None = None
    due_until: int | None = None
    created_from: int | None = None
    created_until: int | None = None
    died_from: int | None = None
    died_until: int | None = None

    @property
    def by_label(self) -> bool:
        """Whether the label index knows all of them."""
        return self.label is not None and self.state in _LIVING

    def fits(self, view: View) -> bool:
        of_state = view.status in _WAITING if self.state == "waiting" else view.status == self.state
        if not of_state or self.topic not in {None, view.topic}:
            return False
        return (
            _between(view.due_ms, self.due_from, self.due_until)
            and (view.created_ms is None or _between(view.created_ms, self.created_from, self.created_until))
            and _between(view.died_ms, self.died_from, self.died_until)
            and (self.label is None or (view.record is not None and self.label in view.record.options.labels))
            and (self.error is None or self.error in view.reason or any(self.error in one.error for one in view.errors[-1:]))
        )


def _between(value: int, first: int | None, last: int | None) -> bool:
    return (first is None or value >= first) and (last is None or value <= last)
