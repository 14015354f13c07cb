"""What a fault is: a function that breaks something, mends it, and tells whom it hit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis.exceptions import RedisError

from tests.chaos.history import Effect
from tests.chaos.stage import LEASE_MS, Stage

LEASE_S = LEASE_MS / 1000
Hit = tuple[str, ...]
"""Names of the processes that were hit; none where it was the store, and so all of them."""
Break = Callable[[Stage, float, float], Awaitable[Hit]]
"""Given the stage, a choice (which one) and an amount (how long, how much), both from 0 to below 1."""
NOBODY: Hit = ()


class Kind(NamedTuple):
    effect: Effect
    run: Break


def holds(condition: Callable[[], object]) -> bool:
    """For a condition that asks servers, in a thread: the run goes on meanwhile. One that does not answer says no."""
    try:
        return bool(condition())
    except (RedisError, OSError):
        return False
