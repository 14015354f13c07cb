"""The store over a real cluster of three masters: every partition on its node, one node's outage or move no other's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from secrets import token_hex

import pytest
from redis.exceptions import RedisError, ResponseError

from shared.errors import Outage
from shared.events import Event
from shared.settings import RedisSettings
from shared.store import due, messages, subscription
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.connect import Connections
from shared.store.delivery import Deliveries
from shared.store.partition import Partition, Store, slot_of
from shared.store.publishing import Publishing
from shared.store.watching import Watching
from tests.store.stage import finished, id_of
from tests.support.cluster import Cluster, private_cluster
from tests.support.stores import opened_store, works
from tests.support.waiting import eventually

PARTITIONS = 6


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For tests that leave it as it was."""
    with private_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For a test that breaks it."""
    with private_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def opened(cluster: Cluster) -> AbstractAsyncContextManager[Store]:
    return opened_store(cluster.url, PARTITIONS, key_prefix=f"t{token_hex(6)}", timeout_ms=1000)


@pytest.fixture
async def store(shared_cluster: Cluster) -> AsyncIterator[Store]:
    async with opened(shared_cluster) as store:
        yield store


@pytest.fixture
async def own_store(own_cluster: Cluster) -> AsyncIterator[Store]:
    async with opened(own_cluster) as store:
        yield store


async def deliver_all(partition: Partition) -> set[str]:
    """Moves, reads and settles what one partition has; the ids."""
    await due.dispatch(partition, "echo", 1000, 1000)
    deliveries = Deliveries(partition, partition.waiting(1.0), "w1", ["echo"])
    await deliveries.create_groups()
    entries = await deliveries.read({"echo": 1000})
    if entries:
        assert all(await deliveries.settle([finished(entry) for entry in entries], 1000))
    return {id_of(entry) for entry in entries}


async def fill(store: Store, count: int = 60) -> set[str]:
    """Messages without an idempotency key, spread at random; the ids."""
    draft = Draft("echo", "text", b"x")
    return {message_id for _ in range(count) for message_id in (await schedule(store, [draft])).ids}


async def test_messages_are_spread_over_all_nodes_and_delivered(store: Store, shared_cluster: Cluster) -> None:
    """Every partition's way, from acceptance to the end, goes through its own node; none is asked for another's keys."""
    await store.synchronise()

    ids = await fill(store)
    delivered = [await deliver_all(partition) for partition in store.partitions]

    assert set.union(*delivered) == ids
    assert all(delivered)
    holders = {shared_cluster.holder(partition.slot).port for partition in store.partitions}
    assert holders == {node.port for node in shared_cluster.masters}
    assert {(await messages.get(store, message_id)).status for message_id in ids} == {"delivered"}


async def test_a_wake_up_reaches_who_listens(store: Store) -> None:
    """The channel of a partition works wherever its node is."""
    for partition in store.partitions:
        wake_ups = due.WakeUps(partition)
        listening = asyncio.create_task(wake_ups.next())
        assert await listening is None  # the answer to the subscription itself

        await partition.client.publish(partition.keys.wake_channel, "echo 42")

        assert await wake_ups.next() == ("echo", 42)
        await wake_ups.close()


async def told(watching: Watching, publisher: Publishing, partition: Partition) -> bool:
    """Whether who watches hears of an event, once whoever tells it knows that somebody does."""
    await publisher.look()
    partition.events.add(Event(event="scheduled", at_ms=1, topic="echo"))
    if partition.events.wanted:
        await publisher.publish()
    batch = await watching.next()
    return batch is not None and len(batch.events) > 0


async def test_events_reach_who_watches_also_when_a_slot_has_moved(
    own_cluster: Cluster, own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each partition's node knows who watches it; who watches follows a slot to its new node after a silence."""
    monkeypatch.setattr(subscription, "SILENCE_S", 0.1)
    pairs = [(Watching(group), Publishing(group), group[0]) for group in own_store.by_server()]
    assert len(pairs) == PARTITIONS
    for pair in pairs:
        await eventually(partial(told, *pair))

    partition = own_store.partitions[0]
    target = next(node for node in own_cluster.masters if node is not own_cluster.holder(partition.slot))
    own_cluster.begin_by_key(partition.slot, target)
    own_cluster.end_by_key(partition.slot, target)
    await eventually(lambda: own_cluster.holder(partition.slot) is target)

    async def there() -> bool:
        await told(*pairs[0])
        channel = partition.keys.events_channel
        return bool(target.command("PUBSUB", "NUMSUB", channel)[1] == 1) and await told(*pairs[0])

    await eventually(there, within_s=20)
    for watching, _, _ in pairs:
        await watching.close()


async def test_a_node_that_is_gone_takes_its_own_partitions_along(own_cluster: Cluster, own_store: Store) -> None:
    """Commands to its partitions are outages, those to the others work; after its restart everything is as before."""
    ids = await fill(own_store)
    node = own_cluster.holder(own_store.partitions[0].slot)
    out = [partition for partition in own_store.partitions if own_cluster.holder(partition.slot) is node]
    others = [partition for partition in own_store.partitions if partition not in out]

    node.kill()

    for partition in out:
        with pytest.raises(Outage):
            await deliver_all(partition)
    delivered = [await deliver_all(partition) for partition in others]
    assert all(delivered)

    node.start()
    node.answers()

    await eventually(lambda: works(own_store), what="every partition answers")
    delivered += [await deliver_all(partition) for partition in out]
    assert set.union(*delivered) == ids


async def test_a_replica_that_takes_over_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    """After a master's end its replica has its partitions, with everything that had reached it."""
    with private_cluster(tmp_path_factory.mktemp("cluster"), replicas=1) as cluster:
        async with opened(cluster) as store:
            ids = await fill(store)
            node = cluster.holder(store.partitions[0].slot)
            await eventually(lambda: node.command("WAIT", 1, 100) == 1)

            node.kill()

            await eventually(lambda: works(store), within_s=30, what="every partition answers")
            assert set.union(*[await deliver_all(partition) for partition in store.partitions]) == ids


async def test_nodes_whose_names_are_unknown_are_found_by_address(own_cluster: Cluster) -> None:
    """A cluster that prefers names tells ``?`` for a node that has none, or whose name has not come round yet."""
    try:
        for node in own_cluster.nodes:
            node.command("CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname")
    except ResponseError:
        pytest.skip("the server knows no names of nodes")
    assert {row[2][0] for row in own_cluster.nodes[0].command("CLUSTER", "SLOTS")} == {"?"}

    async with opened(own_cluster) as store:
        ids = await fill(store)
        assert set.union(*[await deliver_all(partition) for partition in store.partitions]) == ids


async def test_a_slot_that_moves_is_followed(own_cluster: Cluster, own_store: Store) -> None:
    """Commands that were sent to the old node are outages at most, and nothing is lost or doubled on the way."""
    partition = own_store.partitions[0]
    ids = await fill(own_store)
    target = next(node for node in own_cluster.masters if node is not own_cluster.holder(partition.slot))

    if not own_cluster.migrate(partition.slot, target):
        pytest.skip("the server has no atomic migration of slots")

    await eventually(lambda: own_cluster.holder(partition.slot) is target)
    await eventually(lambda: works(own_store))
    assert set.union(*[await deliver_all(one) for one in own_store.partitions]) == ids


async def test_a_slot_that_moves_key_by_key_is_out_until_it_has_moved(own_cluster: Cluster, own_store: Store) -> None:
    """A script finds some of its keys gone: an outage, in which nothing is written. Afterwards everything is there once."""
    partition = own_store.partitions[0]
    ids = await fill(own_store)
    target = next(node for node in own_cluster.masters if node is not own_cluster.holder(partition.slot))

    own_cluster.begin_by_key(partition.slot, target)
    own_cluster.move_keys(partition.slot, target, limit=1)

    with pytest.raises(Outage, match=r"moved|tryagain"):
        await deliver_all(partition)

    own_cluster.end_by_key(partition.slot, target)

    await eventually(lambda: works(own_store))
    assert set.union(*[await deliver_all(one) for one in own_store.partitions]) == ids


async def test_connections_are_all_given_back_whoever_is_cancelled(shared_cluster: Cluster) -> None:
    """Refusals that close their connection, and callers that give up at any moment: none stays in use for ever."""
    own, foreign = slot_of(0), next(f"{{{number}}}" for number in range(PARTITIONS) if not same_node(shared_cluster, 0, number))
    connections = Connections(RedisSettings(connection_string=shared_cluster.url, max_connections=4), "test")
    client = connections.commands(own)

    async def ask(number: int) -> None:
        with suppress(RedisError, TimeoutError):
            async with asyncio.timeout(number % 97 / 10_000):
                await client.get(foreign if number % 2 else "{0}")

    for first in range(0, 9_000, 30):
        await asyncio.gather(*(ask(number) for number in range(first, first + 30)))

    await eventually(lambda: not client.connection_pool._in_use_connections)
    await connections.close()


def same_node(cluster: Cluster, one: int, other: int) -> bool:
    return cluster.holder(slot_of(one)) is cluster.holder(slot_of(other))
