"""limit.lua, through the functions of ``flow`` that set what a flow key may do."""

from __future__ import annotations

import asyncio

import pytest

from shared.settings import LimitSettings
from shared.store import flow
from shared.store.flow import FlowKey, Limit
from tests.store.flowing import Flowing
from tests.store.stage import Stage, dump

pytestmark = pytest.mark.leaves("flow:", "due:", "stream:", "index")


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


def shown(found: FlowKey) -> tuple[int, int, int]:
    return found.rate, found.period_ms, found.concurrency


async def test_a_first_limit_is_set_once(stage: Stage) -> None:
    """Whoever comes first: one that the key has of its own stays, and a pause is none."""
    Flowing(stage, key=LimitSettings(concurrency=9))
    await flow.pause(stage.store, "alpha", "a", paused=True)
    await asyncio.gather(*(flow.ensure_limit(stage.store, "alpha", "a", Limit(0, 1_000, count)) for count in (4, 5)))
    found = await flow.get(stage.store, "alpha", "a")

    assert found.concurrency in {4, 5}
    assert (found.own, found.paused) == (True, True)
    await flow.set_limit(stage.store, "alpha", "a", Limit(1, 1_000, 0))
    await flow.ensure_limit(stage.store, "alpha", "a", Limit(0, 1_000, 7))
    assert shown(await flow.get(stage.store, "alpha", "a")) == (1, 1_000, 0)
    assert [one.flow_key for one in await flow.flow_keys(stage.store, "alpha", "", 5)] == ["a"], "though nothing of it is there"


async def test_what_is_pinned_stays_whatever_messages_offer(stage: Stage) -> None:
    """Rate and concurrency each for itself; what is set plainly holds and stays pinned."""
    Flowing(stage, key=LimitSettings(rate=2, period_ms=500))

    async def now() -> tuple[int, int, int, bool, bool]:
        found = await flow.get(stage.store, "alpha", "a")
        return (*shown(found), found.pinned_rate, found.pinned_concurrency)

    await flow.pin(stage.store, "alpha", "a", concurrency=3)
    assert await now() == (2, 500, 3, False, True)
    await flow.offer_limit(stage.store, "alpha", "a", Limit(5, 2_000, 8))
    assert await now() == (5, 2_000, 3, False, True)
    await flow.pin(stage.store, "alpha", "a", rate=6)
    await flow.offer_limit(stage.store, "alpha", "a", Limit(1, 1, 1))
    assert await now() == (6, 2_000, 3, True, True)
    await flow.pause(stage.store, "alpha", "a", paused=True)
    await flow.set_limit(stage.store, "alpha", "a", Limit(7, 3_000, 4))
    assert await now() == (7, 3_000, 4, True, True)
    assert await stage.client.zrange(stage.keys.flow("alpha", "limits"), 0, -1) == [b"a 7 3000 4 1 3"]
    await flow.unpin(stage.store, "alpha", "a", concurrency=True)
    await flow.offer_limit(stage.store, "alpha", "a", Limit(1, 1, 1))
    assert await now() == (7, 3_000, 1, True, False)
    await flow.unpin(stage.store, "alpha", "a", rate=True)
    assert await stage.client.zrange(stage.keys.flow("alpha", "limits"), 0, -1) == [b"a 7 3000 1 1"], (
        "as releases before wrote it"
    )
    await flow.pin(stage.store, "alpha", "a", rate=1)
    await flow.set_limit(stage.store, "alpha", "a", None)
    await flow.pause(stage.store, "alpha", "a", paused=False)
    assert await now() == (2, 500, 0, False, False)
    await flow.unpin(stage.store, "alpha", "a", rate=True, concurrency=True)
    assert await stage.client.zcard(stage.keys.flow("alpha", "limits")) == 0


async def test_a_pinned_limit_holds_like_any_other(stage: Stage) -> None:
    """Also of a key that looks like numbers."""
    flowing = Flowing(stage)
    await flow.pin(stage.store, "alpha", "1,2,3", concurrency=2)
    await flow.pin(stage.store, "alpha", "7", concurrency=1)
    await flowing.add("7", 3)

    assert (await flowing.admit()).moved == 1


async def test_what_is_offered_again_writes_nothing_and_wakes_nobody(stage: Stage) -> None:
    """It may come with every message."""
    flowing = Flowing(stage)
    await flow.offer_limit(stage.store, "alpha", "a", Limit(0, 1_000, 1))
    await flowing.add("a", 2)
    await flowing.admit()
    before = await dump(stage.client, stage.store.settings.redis.key_prefix)

    await flow.offer_limit(stage.store, "alpha", "a", Limit(0, 1_000, 1))

    assert await dump(stage.client, stage.store.settings.redis.key_prefix) == before
