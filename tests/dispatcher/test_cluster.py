"""The dispatcher on a real cluster: one node's outage makes no other node's messages late."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from secrets import token_hex

import pytest

from dispatcher.scheduler import Dispatcher
from shared.settings import DispatcherSettings, RedisSettings, Settings
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.partition import Partition, Store
from tests.support.cluster import Cluster, private_cluster
from tests.support.stores import works
from tests.support.waiting import eventually

PARTITIONS = 6
LATE_MS = 500
"""Much less than what a frozen node takes to count as an outage."""


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with private_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


async def entries(partition: Partition) -> list[tuple[int, int]]:
    """Of each message that was moved: when, and when it was due."""
    rows = await partition.client.xrange(partition.keys.stream("echo"))
    return [(int(entry.partition(b"-")[0]), int(fields[b"due"])) for entry, fields in rows]


@asynccontextmanager
async def at_work(cluster: Cluster, tick_ms: int = 60_000) -> AsyncIterator[Store]:
    """A dispatcher, and the store it works on."""
    redis = RedisSettings(connection_string=cluster.url, key_prefix=f"t{token_hex(6)}")
    settings = Settings(redis=redis, partitions=PARTITIONS, dispatcher=DispatcherSettings(tick_ms=tick_ms))
    store, stop = Store(settings, "test"), asyncio.Event()
    running = asyncio.create_task(Dispatcher(store, settings).run(stop))
    try:
        yield store
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)
        await store.close()


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_node_that_is_out_makes_no_others_late(cluster: Cluster, fault: signal.Signals) -> None:
    """Frozen or gone, it takes its own partitions along; the others' messages are moved at their times, without a tick."""
    async with at_work(cluster) as store:
        node = cluster.holder(store.partitions[0].slot)
        others = [partition for partition in store.partitions if cluster.holder(partition.slot) is not node]
        drafts = [Draft("echo", "text", b"x", delay_ms=1_000 + 50 * number) for number in range(60)]
        ids = [message_id for draft in drafts for message_id in (await schedule(store, [draft])).ids]
        theirs = {message_id for message_id in ids if any(f"-{partition.number}-" in message_id for partition in others)}

        node.send(fault)

        async def moved() -> list[tuple[int, int]]:
            found = [entry for partition in others for entry in await entries(partition)]
            return found if len(found) == len(theirs) else []

        lateness_ms = [added - due for added, due in await eventually(moved, within_s=20)]
        assert min(lateness_ms) >= 0
        assert max(lateness_ms) < LATE_MS


async def test_a_node_that_is_out_keeps_no_dispatcher_from_its_start(cluster: Cluster) -> None:
    """It begins with those that answer, and goes on with the rest when they do."""
    node = cluster.masters[0]
    node.kill()
    async with at_work(cluster, tick_ms=50) as store:
        others = [partition for partition in store.partitions if cluster.holder(partition.slot) is not node]
        rest = [partition for partition in store.partitions if partition not in others]
        assert others
        assert rest

        await move(others)
        node.start()
        node.answers()
        await eventually(lambda: works(store), within_s=20, what="all answer")
        await move(rest)


async def move(partitions: list[Partition]) -> None:
    """One message in each is moved before long."""
    for partition in partitions:
        await partition.client.zadd(partition.keys.due("echo"), {f"echo-{partition.number} v1": 1})

    async def moved() -> bool:
        return all([await entries(partition) for partition in partitions])

    await eventually(moved)
