"""tidy.lua, through ``flow.tidy``."""

from __future__ import annotations

import pytest

from shared.settings import LimitSettings
from shared.store import flow
from tests.store.flowing import Flowing
from tests.store.stage import Stage

pytestmark = pytest.mark.leaves("flow:", "due:", "stream:", "index")


async def test_the_places_of_what_a_stranger_deleted_are_given_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are; the places of what is there stay, and who waits goes on."""
    monkeypatch.setattr(flow, "TIDY_COUNT", 3)
    flowing = Flowing(stage, key=LimitSettings(concurrency=8))
    ids = await flowing.add("a", 10)
    await flowing.admit()
    entries = await flowing.read(4)
    for entry in entries:
        await stage.client.xdel(entry.stream, entry.entry_id)
    await stage.client.hdel(stage.keys.index, ids[7])

    assert await flow.tidy(stage.partition, "alpha") == 5

    assert await flowing.held() == set(ids[4:7])
    assert (await flowing.admit()).moved == 2
    assert await flow.tidy(stage.partition, "alpha") == 0
