"""reset_rate.lua, through ``flow.reset_rate``."""

from __future__ import annotations

import pytest

from shared.settings import LimitSettings
from shared.store import flow
from tests.store.flowing import Flowing
from tests.store.stage import HOUR_MS, Stage

pytestmark = pytest.mark.leaves("flow:", "due:", "stream:", "index")


async def test_a_rate_that_is_reset_begins_a_new_period(stage: Stage) -> None:
    """For that key alone; who waits for it goes on at once."""
    flowing = Flowing(stage, key=LimitSettings(rate=2, period_ms=HOUR_MS))
    ids = [*await flowing.add("a", 5), *await flowing.add("ab", 3)]
    await flowing.admit()
    assert set(await flowing.ready()) == {*ids[:2], *ids[5:7]}

    await flow.reset_rate(stage.store, "alpha", "a")

    assert (await flow.get(stage.store, "alpha", "a")).recent == 0
    assert (await flow.get(stage.store, "alpha", "ab")).recent == 2
    assert (await flowing.admit()).moved == 2
    assert set(await flowing.ready()) == {*ids[:4], *ids[5:7]}
