"""limit.lua, through ``flow.set_limit`` and ``flow.pause``."""

from __future__ import annotations

import pytest

from shared.store import flow
from shared.store.flow import Limit
from tests.store.flowing import Flowing
from tests.store.stage import Stage

pytestmark = pytest.mark.leaves("flow:alpha:limits")


async def test_a_limit_and_a_pause_are_kept_apart(stage: Stage) -> None:
    """Each is set and taken away without the other; nothing is left of a key that has neither."""
    Flowing(stage)

    async def shown() -> tuple[int, int, int, bool, bool]:
        found = await flow.get(stage.store, "alpha", "a")
        return found.rate, found.period_ms, found.concurrency, found.own, found.paused

    assert await shown() == (0, 1000, 0, False, False)
    await flow.set_limit(stage.store, "alpha", "a", Limit(7, 2_000, 3))
    await flow.set_limit(stage.store, "alpha", "ab", Limit(1, 1, 1))
    assert await shown() == (7, 2000, 3, True, False)
    await flow.pause(stage.store, "alpha", "a", paused=True)
    assert await shown() == (7, 2000, 3, True, True)
    await flow.set_limit(stage.store, "alpha", "a", Limit(0, 1_000, 1))
    assert await shown() == (0, 1000, 1, True, True)
    await flow.set_limit(stage.store, "alpha", "a", None)
    assert await shown() == (0, 1000, 0, False, True)
    await flow.pause(stage.store, "alpha", "a", paused=False)
    await flow.pause(stage.store, "alpha", "a", paused=False)
    assert await shown() == (0, 1000, 0, False, False)
    assert await stage.client.zrange(stage.keys.flow("alpha", "limits"), 0, -1) == [b"ab 1 1 1 0"]
