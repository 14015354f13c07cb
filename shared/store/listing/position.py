"""Where an entry stands in the order of all of its kind: what a cursor is made of.

Positions are times and ids, not ranks, so what comes and goes meanwhile shifts nothing: an entry that stays where it is is
neither left out nor shown twice.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.errors import InvalidField
from shared.store.listing.filter import Order

_CURSOR = re.compile(r"(?P<time>[0-9]{1,15}(?:\.[0-9]{1,11})?)~(?P<tie>[\x21-\x7e]{1,200})")


class Position(NamedTuple):
    time: float
    """Milliseconds, and a fraction that the id carries."""
    tie: str
    """Orders those of one time."""

    def follows(self, after: Position, order: Order) -> bool:
        return self < after if order == "newest" else self > after

    def rank(self, order: Order) -> tuple[float, Backwards | str]:
        """Sorts in that order."""
        return (-self.time, Backwards(self.tie)) if order == "newest" else (self.time, self.tie)

    def cursor(self) -> str:
        return f"{self.time:.11f}".rstrip("0").rstrip(".") + f"~{self.tie}"


class Backwards(str):
    """A text that sorts backwards."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def parse_cursor(cursor: str) -> Position:
    """Raises ``InvalidField``."""
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidField("cursor", "expected the next_cursor of an earlier page")
    return Position(float(found["time"]), found["tie"])
