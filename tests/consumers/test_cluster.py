"""A worker on a real cluster: a node that is out takes its own partitions along, and nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest

from consumers.message import Message
from consumers.worker import Worker
from shared.settings import ConsumersSettings, RedisSettings, Settings
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.due import dispatch
from shared.store.messages import get
from shared.store.partition import Partition, Store
from tests.consumers.making import make_handler
from tests.support.cluster import Cluster, private_cluster
from tests.support.waiting import eventually

PARTITIONS = 6


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with private_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def store(cluster: Cluster) -> AsyncIterator[Store]:
    redis = RedisSettings(connection_string=cluster.url, key_prefix=f"t{token_hex(6)}")
    settings = Settings(
        redis=redis, partitions=PARTITIONS, consumers=ConsumersSettings(threads=200, lease_ms=60_000, grace_ms=100)
    )
    store = Store(settings, "test")
    await store.synchronise()
    yield store
    await store.close()


async def ready(partitions: list[Partition], store: Store) -> list[str]:
    """A message in the stream of each of these partitions, at least; the ids of all in them."""
    found = dict[int, str]()
    while len(found) < len(partitions):
        (message_id,) = (await schedule(store, [Draft("echo", "text", b"x")])).ids
        number = int(message_id.split("-")[1])
        if number in {partition.number for partition in partitions} and number not in found:
            found[number] = message_id
    for partition in store.partitions:
        await dispatch(partition, "echo", 1000, 1000)
    return list(found.values())


async def statuses(store: Store, ids: list[str]) -> set[str]:
    return {(await get(store, message_id)).status for message_id in ids}


def apart(cluster: Cluster, store: Store) -> list[Partition]:
    """The partitions that do not lie on the first one's node."""
    node = cluster.holder(store.partitions[0].slot)
    return [partition for partition in store.partitions if cluster.holder(partition.slot) is not node]


async def test_a_node_that_is_out_keeps_no_worker_from_its_start(cluster: Cluster, store: Store) -> None:
    """A worker that starts meanwhile delivers what the others have."""
    others, stop, done = apart(cluster, store), asyncio.Event(), set[str]()
    ids = await ready(others, store)
    cluster.holder(store.partitions[0].slot).kill()

    def note(message: Message) -> None:
        done.add(message.id)

    worker = Worker(store, store.settings, {"echo": make_handler(note)}, "worker-1")
    running = asyncio.create_task(worker.run(stop))

    await eventually(lambda: done >= set(ids), what="the others' messages are delivered")
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_a_node_that_answers_nothing_keeps_nothing_from_being_handed_back(cluster: Cluster, store: Store) -> None:
    """A worker that stops gives what it did not start back to the nodes that answer, in the time it has for all."""
    others = apart(cluster, store)
    ids = await ready(others, store)
    worker = Worker(store, store.settings, {"echo": make_handler()}, "worker-1")
    for line in worker._lines:
        await line.open()
        await line.reader.run_once()
    assert await statuses(store, ids) == {"running"}
    node = cluster.holder(store.partitions[0].slot)

    node.send(signal.SIGSTOP)
    worker.runner.drop_waiting()
    await worker._try_to(worker._hand_back)

    assert await statuses(store, ids) == {"ready"}
    node.kill()
    await worker.close()
