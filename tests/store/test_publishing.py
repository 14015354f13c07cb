"""Events on their way through Redis: nothing while nobody watches, batches while somebody does; and those that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from shared.errors import Outage
from shared.events import MOST_AT_ONCE, ROOM, Event
from shared.logs import logger
from shared.store.connect import Client
from shared.store.partition import Partition, Store
from shared.store.publishing import Publishing
from shared.store.watching import Watching
from shared.waiting import end
from tests.support.server import private_server
from tests.support.stores import opened_store
from tests.support.waiting import eventually


@pytest.fixture
def partition(store: Store) -> Partition:
    return store.partitions[0]


@pytest.fixture
async def watching(partition: Partition) -> AsyncIterator[Watching]:
    """Somebody who watches from here on."""
    made = Watching([partition])
    assert await made.next() is None  # subscribed
    yield made
    await made.close()


def add(partition: Partition, count: int = 1) -> None:
    for number in range(count):
        partition.events.add(Event(event="scheduled", at_ms=number, topic="work"))


async def test_whether_somebody_watches_is_seen(partition: Partition, redis: Client) -> None:
    """As soon as it is looked for, and no longer than somebody does."""
    publisher, watching = Publishing([partition]), Watching([partition])

    async def wanted() -> bool:
        await publisher.look()
        return partition.events.wanted

    async def unwanted() -> bool:
        return not await wanted()

    assert not await wanted()
    await watching.next()
    assert await wanted()
    await watching.close()
    await eventually(unwanted)
    assert await redis.keys(f"{partition.keys.events_channel}*") == []


async def test_a_batch_at_a_time_is_told(partition: Partition, watching: Watching) -> None:
    """In order, and numbered on."""
    publisher = Publishing([partition])
    await publisher.look()
    add(partition, MOST_AT_ONCE + 2)

    await publisher.run_once()
    await publisher.run_once()

    first, second = await watching.next(), await watching.next()
    assert first is not None
    assert second is not None
    assert (first.first, len(first.events), second.first, len(second.events)) == (0, MOST_AT_ONCE, MOST_AT_ONCE, 2)


async def test_each_partition_has_its_channel(own_server_url: str) -> None:
    """Who watches one server hears all of its partitions, in one connection."""
    async with opened_store(own_server_url, 3) as store:
        publisher, watching = Publishing(store.partitions), Watching(store.partitions)
        for _ in store.partitions:
            assert await watching.next() is None
        await publisher.look()
        for partition in store.partitions:
            add(partition)
        await publisher.run_once()

        batches = [await watching.next() for _ in store.partitions]

        assert len({batch.origin for batch in batches if batch}) == 3
        await watching.close()


async def test_what_could_not_be_told_is_counted(tmp_path: Path) -> None:
    """An outage is raised; the next batch says how much is missing. Those who watch subscribe anew by themselves."""
    with private_server(tmp_path / "own") as server:
        async with opened_store(server.url, 1, timeout_ms=500) as store:
            (partition,) = store.partitions
            publisher, watching = Publishing([partition]), Watching([partition])
            await watching.next()
            await publisher.look()
            add(partition, 3)

            server.stop()
            with pytest.raises(Outage):
                await publisher.publish()
            with pytest.raises(Outage):
                await watching.next()
            server.start()
            assert await watching.next() is None
            add(partition)
            await publisher.publish()

            batch = await watching.next()
            assert batch is not None
            assert (batch.first, batch.dropped, len(batch.events)) == (6, 3, 1)
            await watching.close()


@pytest.mark.parametrize(
    "told", ["", "hello", '{"origin": 1}', '{"origin": "0123abcd", "first": 0, "dropped": 0, "events": [1]}']
)
async def test_a_strangers_word_is_nothing(partition: Partition, watching: Watching, redis: Client, told: str) -> None:
    """Nor is one of a release that has other events: whoever watches goes on."""
    publisher = Publishing([partition])
    await publisher.look()
    await redis.publish(partition.keys.events_channel, told)
    add(partition)
    await publisher.publish()

    assert await watching.next() is None
    assert await watching.next() is not None


def add_webhooks(partition: Partition, count: int = 1) -> None:
    for number in range(count):
        partition.events.add(Event(event="running", at_ms=number, topic="webhook", message_id=f"webhook-0-{number}"))


async def logged(partition: Partition) -> list[Event]:
    """All entries, the oldest first."""
    rows = await partition.client.xrange(partition.keys.log)
    return [msgspec.json.decode(fields[b"event"], type=Event) for _, fields in rows]


async def test_what_is_kept_goes_to_the_log_whoever_watches(partition: Partition) -> None:
    """In its order, a readable entry for each; of other topics nothing is kept."""
    publisher = Publishing([partition], 1000)
    add_webhooks(partition, MOST_AT_ONCE + 2)
    add(partition)

    await publisher.publish()

    assert [event.at_ms for event in await logged(partition)] == list(range(MOST_AT_ONCE + 2))
    ((_, fields),) = await partition.client.xrange(partition.keys.log, count=1)
    assert fields == {b"event": b'{"event":"running","at_ms":0,"topic":"webhook","message_id":"webhook-0-0"}'}


async def test_those_who_watch_are_told_what_is_kept_too(partition: Partition, watching: Watching) -> None:
    """And it is kept all the same."""
    publisher = Publishing([partition], 1000)
    await publisher.look()
    add_webhooks(partition)
    add(partition)

    await publisher.publish()

    batch = await watching.next()
    assert batch is not None
    assert [event.topic for event in batch.events] == ["webhook", "work"]
    assert [event.topic for event in await logged(partition)] == ["webhook"]


async def test_the_log_is_bounded_by_number(partition: Partition) -> None:
    """The newest stay; how many more, Redis decides: a block of its stream."""
    publisher = Publishing([partition], 50)
    for _ in range(5):
        add_webhooks(partition, MOST_AT_ONCE)
        await publisher.publish()

    told = await logged(partition)

    assert 50 <= len(told) < 300
    assert told[-1].at_ms == MOST_AT_ONCE - 1


async def test_what_the_log_misses_is_said(partition: Partition) -> None:
    """What finds no room is counted; a minute has one line of it at most."""
    lines = list[str]()
    sink = logger.add(lambda line: lines.append(str(line)), level="WARNING", format="{message}")
    publisher = Publishing([partition], 1000)
    try:
        for _ in range(2):
            add_webhooks(partition, ROOM + 7)
            await publisher.publish()
    finally:
        logger.remove(sink)

    assert [line for line in lines if "7 events found no room" in line] == lines
    assert len(lines) == 1


async def test_an_outage_costs_the_log_a_batch_a_try(tmp_path: Path) -> None:
    """What waits behind it is kept as soon as Redis answers; what is lost is counted."""
    with private_server(tmp_path / "own") as server:
        async with opened_store(server.url, 1, timeout_ms=500) as store:
            (partition,) = store.partitions
            publisher = Publishing([partition], 10_000)
            add_webhooks(partition, MOST_AT_ONCE + 3)

            server.stop()
            with pytest.raises(Outage):
                await publisher.publish()
            server.start()
            await publisher.publish()

            assert [event.at_ms for event in await logged(partition)] == list(range(MOST_AT_ONCE, MOST_AT_ONCE + 3))


async def test_a_process_that_stops_tells_its_last_events(partition: Partition) -> None:
    """Also what was on its way when the loop was cancelled; once, and nothing after it."""
    publisher = Publishing([partition], 10_000)
    loop = asyncio.create_task(publisher.run())
    await eventually(lambda: publisher._under_way is not None)
    add_webhooks(partition, MOST_AT_ONCE)
    publisher._under_way = asyncio.create_task(publisher.publish())
    await asyncio.sleep(0)  # it has taken them, and waits for Redis
    assert partition.events.take() is None
    add_webhooks(partition, 2)

    await end(loop)
    await publisher.finish()

    assert len(await logged(partition)) == MOST_AT_ONCE + 2


async def test_a_process_that_stops_waits_for_no_outage(tmp_path: Path) -> None:
    """The time it has is bounded, and nothing is raised."""
    with private_server(tmp_path / "own") as server:
        async with opened_store(server.url, 1, timeout_ms=500) as store:
            publisher = Publishing(store.partitions, 10_000)
            add_webhooks(store.partitions[0])
            server.stop()

            await publisher.finish()
