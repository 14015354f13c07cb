"""delete_schedule.lua, through ``schedules.delete``."""

from __future__ import annotations

import pytest

from shared.errors import NotFound, Stale
from shared.store import schedules
from shared.store.connect import Client
from tests.store.stage import Stage, contents


@pytest.mark.leaves("due:")
async def test_nothing_of_it_is_left_but_its_messages(stage: Stage, redis: Client, prefix: str) -> None:
    """The key space is as it was before, and what it made is delivered as any message."""
    await stage.schedule("a")
    made = await stage.fire("a")

    await schedules.delete(stage.store, "a")

    assert list(await contents(redis, prefix)) == ["due:alpha"]
    assert await stage.status(made) == "scheduled"
    with pytest.raises(NotFound):
        await schedules.get(stage.store, "a")


@pytest.mark.leaves("schedule")
async def test_whoever_saw_an_older_one_deletes_nothing(stage: Stage) -> None:
    """With its tag; without one any will do."""
    seen = await stage.schedule("a")
    assert await schedules.change(stage.store, seen, stage.wanted(max_runs=1), "second") is not None

    with pytest.raises(Stale):
        await schedules.delete(stage.store, "a", tags=frozenset({seen.revision}))
    assert (await schedules.get(stage.store, "a")).revision == "second"
    await schedules.delete(stage.store, "a", tags=frozenset({"second"}))


async def test_what_is_not_there_cannot_be_deleted(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await schedules.delete(stage.store, "nobody")
