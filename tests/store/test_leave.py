"""leave.lua, through ``Deliveries.leave``."""

from __future__ import annotations

import pytest

from shared.store.connect import Client
from shared.store.delivery import leave
from shared.store.keys import GROUP
from shared.store.scripts import LEAVE
from tests.store.stage import TOPICS, Stage, contents, finished

pytestmark = pytest.mark.leaves("index", "stream:")


async def consumers(stage: Stage, redis: Client, topic: str) -> set[str]:
    return {row["name"].decode() for row in await redis.xinfo_consumers(stage.keys.stream(topic), GROUP)}


async def test_a_consumer_that_holds_nothing_is_removed(stage: Stage, redis: Client) -> None:
    """It goes from the group of every stream; the others stay."""
    entries = [*await stage.running(), *await stage.running(topic="beta")]
    await stage.settle(*[finished(one) for one in entries])
    await stage.running(worker="w2")
    assert await consumers(stage, redis, "alpha") == {"w1", "w2"}

    assert await stage.worker().leave() is True

    assert await consumers(stage, redis, "alpha") == {"w2"}
    assert await consumers(stage, redis, "beta") == set()


async def test_a_consumer_stays_where_something_is_pending_for_it(stage: Stage, redis: Client) -> None:
    """Removing it would discard its pending entry, which nobody could reach again; it goes from the other streams."""
    await stage.running()
    await stage.settle(*[finished(one) for one in await stage.running(topic="beta")])

    assert await stage.worker().leave() is False

    assert await consumers(stage, redis, "alpha") == {"w1"}
    assert await consumers(stage, redis, "beta") == set()
    assert len(await stage.pending()) == 1


async def test_the_answer_counts_the_streams_that_are_still_busy(stage: Stage) -> None:
    """0 means that the consumer is gone everywhere."""
    await stage.running()
    await stage.running(topic="beta")
    streams = [stage.keys.stream(topic) for topic in TOPICS]

    assert await LEAVE.run(stage.client, streams, [GROUP, "w1"]) == 2
    assert await LEAVE.run(stage.client, streams[:1], [GROUP, "w1"]) == 1
    assert await LEAVE.run(stage.client, streams, [GROUP, "w2"]) == 0


async def test_streams_and_groups_that_are_not_there_are_no_hindrance(stage: Stage, redis: Client, prefix: str) -> None:
    """A consumer leaves topics that were never used, and nothing is made for it."""
    await redis.xadd(stage.keys.stream("beta"), {"foo": "bar"})
    before = await contents(redis, prefix)

    assert await leave(stage.partition, TOPICS, "w1") is True

    assert await contents(redis, prefix) == before
