"""How much lies where, and which consumers are idle."""

from __future__ import annotations

import msgspec
import pytest

from shared.settings import Settings, TopicSettings
from shared.store.connect import Client
from shared.store.keys import GROUP
from shared.store.topics import TopicDepth, depths, idle_consumers
from tests.store.stage import HOUR_MS, TOPICS, Stage, finished, open_stage, retry

pytestmark = pytest.mark.leaves("due:", "index", "stream:", "errors:")


def depth(found: list[TopicDepth], topic: str) -> tuple[int, int, int, bool]:
    (one,) = [one for one in found if one.topic == topic]
    return one.scheduled, one.ready, one.running, one.configured


async def test_a_configured_topic_is_there_also_when_it_is_empty(stage: Stage) -> None:
    """The built-in topic counts nothing, and is not absent."""
    found = await depths(stage.store)

    assert found == [TopicDepth(name, 0, 0, 0, configured=True) for name in ("echo", "webhook")]


async def test_a_message_is_counted_where_it_lies(stage: Stage) -> None:
    """Waiting (retries included), in the stream, held: each message once, at each step of its way."""
    await stage.partition.register_topics(["alpha"])
    far_ms = await stage.now_ms() + HOUR_MS
    await stage.add(far_ms, far_ms + 1)
    assert depth(await depths(stage.store), "alpha") == (2, 0, 0, False)
    await stage.ready(3)
    assert depth(await depths(stage.store), "alpha") == (2, 3, 0, False)

    first, second = await stage.read(2)
    assert depth(await depths(stage.store), "alpha") == (2, 1, 2, False)
    await stage.settle(retry(first, delay_ms=HOUR_MS), finished(second))

    assert depth(await depths(stage.store), "alpha") == (3, 1, 0, False)


async def test_a_topic_that_left_the_settings_is_named_while_it_has_messages(stage: Stage) -> None:
    """Its messages are kept and shown; an empty one is forgotten by the list, not by Redis."""
    await stage.partition.register_topics(["alpha", "beta"])
    await stage.add(await stage.now_ms() + HOUR_MS, topic="beta")

    found = await depths(stage.store)

    assert [(one.topic, one.configured) for one in found] == [("beta", False), ("echo", True), ("webhook", True)]
    assert await stage.client.smembers(stage.keys.topics) >= {b"alpha", b"beta"}


async def test_partitions_are_added_up(settings: Settings, redis: Client) -> None:
    """A topic's depth is that of all its partitions."""
    topic = TopicSettings(name="alpha", handler="nowhere")
    wider = msgspec.structs.replace(settings, partitions=2, topics=(topic,))
    async with open_stage(wider) as stage:
        far_ms = await stage.now_ms() + HOUR_MS
        await stage.add(far_ms)
        await redis.zadd(stage.store.partitions[1].keys.due("alpha"), {"x": far_ms, "y": far_ms})

        assert depth(await depths(stage.store), "alpha") == (3, 0, 0, True)


async def test_a_stream_without_a_group_is_ready(stage: Stage, redis: Client) -> None:
    """What no worker has ever read is in the stream and held by nobody."""
    await stage.partition.register_topics(["alpha"])
    await redis.xadd(stage.keys.stream("alpha"), {"message": "x"})

    assert depth(await depths(stage.store), "alpha") == (0, 1, 0, False)


async def test_a_consumer_is_idle_only_where_it_is_idle_in_every_stream(stage: Stage, redis: Client) -> None:
    """Who asked for one topic a moment ago is alive, however long ago it asked for another."""
    for topic in ("alpha", "beta"):
        await stage.read(1, topic, worker="old")
        await redis.xgroup_createconsumer(stage.keys.stream(topic), GROUP, "old")  # before Redis 7 an empty read makes none

    assert await idle_consumers(stage.partition, list(TOPICS), 60_000) == []
    assert await idle_consumers(stage.partition, list(TOPICS), 0) == ["old"]


async def test_streams_that_are_not_there_have_no_consumers(stage: Stage, redis: Client) -> None:
    """Neither a topic that was never used nor a stream without a group is an error."""
    await redis.xadd(stage.keys.stream("beta"), {"message": "x"})

    assert await idle_consumers(stage.partition, ["never", *TOPICS], 0) == []
