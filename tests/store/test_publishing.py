"""Events on their way through Redis: nothing while nobody watches, batches while somebody does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import Outage
from shared.events import MOST_AT_ONCE, Event
from shared.store.connect import Client
from shared.store.partition import Partition, Store
from shared.store.publishing import Publishing
from shared.store.watching import Watching
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
