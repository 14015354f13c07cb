"""flow_keys.lua, through ``flow.flow_keys`` and ``flow.get``."""

from __future__ import annotations

import pytest

from shared.settings import LimitSettings
from shared.store import flow
from shared.store.flow import FlowKey, Limit
from tests.store.flowing import Flowing
from tests.store.stage import Stage

pytestmark = pytest.mark.leaves("flow:", "due:", "stream:", "index")


async def test_a_key_shows_its_limit_and_what_it_holds(stage: Stage) -> None:
    """One that nobody uses is shown with the limit of the settings."""
    flowing = Flowing(stage, key=LimitSettings(rate=3, period_ms=60_000, concurrency=2))
    await flowing.add("a", 5)
    await flowing.admit()

    assert await flow.get(stage.store, "alpha", "a") == FlowKey("a", 3, 60_000, 2, False, False, 2, 3, 2)
    assert await flow.get(stage.store, "alpha", "b") == FlowKey("b", 3, 60_000, 2, False, False, 0, 0, 0)


async def test_a_list_is_in_the_order_of_bytes_and_goes_on_after_a_key(stage: Stage) -> None:
    """Those with a limit of their own, those that hold places and those with a line: each once, however they begin."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    keys = ["a", "a!", "ab", "a~", "B", "b/c", "~"]
    for key in keys[:4]:
        await flowing.add(key, 2)
    await flowing.admit()
    for key in keys[3:]:
        await flow.set_limit(stage.store, "alpha", key, Limit(0, 1_000, 5))

    found = await flow.flow_keys(stage.store, "alpha", "", 100)

    assert [one.flow_key for one in found] == sorted(keys)
    assert {one.flow_key: (one.held, one.waiting) for one in found if one.held} == dict.fromkeys(keys[:4], (1, 1))
    pages = [await flow.flow_keys(stage.store, "alpha", after, 2) for after in ("", *sorted(keys)[1::2])]
    assert [one.flow_key for page in pages for one in page] == sorted(keys)
