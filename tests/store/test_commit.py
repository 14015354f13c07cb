"""Writes that are safe before anybody is told: on the disk, or with the replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from cli.server import BundledServer
from shared.errors import InvalidField, Outage
from shared.record import Kind
from shared.settings import RedisSettings, Settings
from shared.store import messages
from shared.store.accept import Unconfirmed, schedule
from shared.store.chunks import Draft
from shared.store.commit import GROUPS, Commits, NotSafe
from shared.store.partition import Store
from shared.store.scripts import RENEW
from tests.support.pair import private_pair
from tests.support.server import chosen_binary, private_server
from tests.support.waiting import eventually

LATER_MS = 3_600_000
TEXT: Kind = "text"
_OLD = chosen_binary() is not None
needs_waitaof = pytest.mark.skipif(_OLD, reason="another binary takes the bundled server's place: it may be too old for WAITAOF")


def draft(body: bytes = b"keep me") -> Draft:
    return Draft("echo", TEXT, body, delay_ms=LATER_MS)


@asynccontextmanager
async def opened(settings: Settings, server: BundledServer, **redis: Any) -> AsyncIterator[Store]:
    """A store on that server."""
    store = Store(msgspec.structs.replace(settings, redis=RedisSettings(connection_string=server.url, **redis)), "test")
    await store.inspect()
    yield store
    await store.close()


@pytest.fixture
async def always(settings: Settings, tmp_path: Path) -> AsyncIterator[Store]:
    """On a server that writes each command to the disk before its answer."""
    with private_server(tmp_path / "always", "--appendfsync", "always") as server:
        async with opened(settings, server) as store:
            yield store


@pytest.fixture
async def pair(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[Store, BundledServer]]:
    """A master with one replica, and that replica."""
    async with private_pair(tmp_path) as (master, replica), opened(settings, master, confirm_timeout_ms=300) as store:
        yield store, replica


async def waits(store: Store) -> int:
    """How often the server was asked to wait for its disk."""
    stats = await store.partitions[0].client.info("commandstats")
    return int(stats.get("cmdstat_waitaof", {}).get("calls", 0))


async def test_an_answer_of_a_server_that_always_writes_means_fsync(always: Store) -> None:
    """Also where nothing was asked, and also on a server that is too old to wait."""
    accepted = await schedule(always, [draft()])

    assert accepted.durability == "fsync"
    assert (await schedule(always, [draft()], asked="fsync")).durability == "fsync"
    assert await messages.cancel(always, accepted.ids[0], "fsync") == "fsync"


async def test_after_an_outage_nothing_is_taken_for_granted(settings: Settings, tmp_path: Path) -> None:
    """The server that answers again may be another: that it always writes is said only once it was looked at anew."""
    with private_server(tmp_path / "own", "--appendfsync", "always") as server:
        async with opened(settings, server) as store:
            assert (await schedule(store, [draft()])).durability == "fsync"
            server.kill()
            with pytest.raises(Outage):
                await schedule(store, [draft()])
            server.start()
            await store.partitions[0].client.config_set("appendfsync", "everysec")

            assert (await schedule(store, [draft()])).durability == "memory"

            await store.partitions[0].client.config_set("appendfsync", "always")
            await store.inspect()
            assert (await schedule(store, [draft()])).durability == "fsync"


@needs_waitaof
async def test_each_kind_of_change_says_what_it_reached(always: Store) -> None:
    """Schedule, change, deliver now and cancel wait alike, and leave the same as without."""
    first, second = (await schedule(always, [draft(), draft()], asked="fsync")).ids
    before = await waits(always)

    changed = await messages.change(always, first, due_ms=4_000_000_000_000, asked="fsync")
    hastened = await messages.deliver_now(always, second, "fsync")
    cancelled = await messages.cancel(always, first, "fsync")

    assert (changed.durability, hastened.durability, cancelled) == ("fsync", "fsync", "fsync")
    assert await waits(always) >= before + 3  # a script that is new to the server is asked for twice
    assert (await messages.get(always, first)).status == "cancelled"


@needs_waitaof
async def test_a_message_on_the_disk_survives_the_kill_of_its_server(settings: Settings, tmp_path: Path) -> None:
    """With a disk that is written once a second, what was answered as fsync is there after SIGKILL."""
    with private_server(tmp_path / "own", "--appendfsync", "everysec") as server:
        async with opened(settings, server) as store:
            accepted = await schedule(store, [draft()], asked="fsync")
            assert accepted.durability == "fsync"
        port = server.port
        server.kill()
        server.port = port
        server.start()
        async with opened(settings, server) as store:
            assert (await messages.get(store, accepted.ids[0])).status == "scheduled"


@needs_waitaof
async def test_many_share_one_wait(always: Store) -> None:
    """Two hundred callers at once cost a few waits, not two hundred; each gets its own message."""
    await schedule(always, [draft()], asked="fsync")
    before = await waits(always)

    accepted = await asyncio.gather(*(schedule(always, [draft(b"%d" % number)], asked="fsync") for number in range(200)))

    assert await waits(always) - before <= 20
    bodies = [(await messages.get(always, one.ids[0])).record for one in accepted]
    assert [record.body for record in bodies if record] == [b"%d" % number for number in range(200)]


@needs_waitaof
async def test_a_script_that_the_server_forgot_is_loaded_and_run_once(always: Store) -> None:
    """SCRIPT FLUSH between two groups: nothing is lost and nothing stored twice."""
    await schedule(always, [draft()], asked="fsync")
    partition = always.partitions[0]
    await partition.client.script_flush()

    accepted = await asyncio.gather(*(schedule(always, [draft()], asked="fsync") for _ in range(20)))

    assert len({one.ids[0] for one in accepted}) == 20
    assert await partition.client.zcard(partition.keys.due("echo")) == 21


@needs_waitaof
async def test_an_error_in_a_group_concerns_its_own_caller_only(always: Store) -> None:
    """One caller's key is of another type; the others of its group are stored."""
    partition = always.partitions[0]
    await partition.client.set(partition.keys.due("wrong"), "a string")
    drafts = [draft(), Draft("wrong", TEXT, b"", delay_ms=LATER_MS), draft()]

    results = await asyncio.gather(*(schedule(always, [one], asked="fsync") for one in drafts), return_exceptions=True)

    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert "WRONGTYPE" in str(results[1])
    assert await partition.client.zcard(partition.keys.due("echo")) == 2


@needs_waitaof
async def test_the_chunks_of_a_batch_wait_together(always: Store) -> None:
    """A batch of many chunks is asked to wait for a few times, and is whole."""
    await schedule(always, [draft()], asked="fsync")
    before = await waits(always)

    accepted = await schedule(always, [draft()] * 5_000, asked="fsync")

    assert await waits(always) - before <= 1 + 4
    partition = always.partitions[0]
    assert await partition.client.zcard(partition.keys.due("echo")) == 5_001
    assert len(set(accepted.ids)) == 5_000


async def test_a_server_without_a_file_cannot_have_it_on_the_disk(settings: Settings, tmp_path: Path) -> None:
    """Asking for fsync is refused with the reason, and nothing is stored."""
    with private_server(tmp_path / "own", "--appendonly", "no") as server:
        async with opened(settings, server) as store:
            with pytest.raises(InvalidField, match="appendonly is off"):
                await schedule(store, [draft()], asked="fsync")

            assert store.no_fsync() == "appendonly is off"
            assert await store.partitions[0].client.dbsize() == 0
            assert (await schedule(store, [draft()])).durability == "memory"


async def test_a_replica_confirms(pair: tuple[Store, BundledServer]) -> None:
    """What was answered as replica is on the replica."""
    store, replica = pair

    accepted = await schedule(store, [draft()], asked="replica")

    assert accepted.durability == "replica"
    client = Redis.from_url(replica.url)
    assert await client.zcard(store.partitions[0].keys.due("echo")) == 1
    await client.aclose()


async def test_without_the_replica_the_message_may_exist_and_a_repeat_completes_it(
    settings: Settings, pair: tuple[Store, BundledServer]
) -> None:
    """Too few replicas: the caller hears it, the message is there, and with the key a repeat doubles nothing."""
    store, replica = pair
    replica.kill()

    with pytest.raises(Unconfirmed, match="0 of 1 replicas have it after 300 ms") as refused:
        await schedule(store, [draft()], "key", "replica")
    with pytest.raises(NotSafe, match="replica was not reached"):
        await messages.cancel(store, refused.value.ids[0], "replica")
    repeated = await schedule(store, [draft()], "key")

    assert repeated.ids == refused.value.ids
    assert repeated.deduplicated
    assert (await messages.get(store, repeated.ids[0])).status == "cancelled"


async def test_a_repeat_waits_for_what_the_first_call_wrote(pair: tuple[Store, BundledServer]) -> None:
    """A repeat writes nothing of its own, and is no more confirmed than the first call while the replica is away."""
    store, replica = pair
    await schedule(store, [draft()], "key")
    replica.kill()

    with pytest.raises(Unconfirmed, match="0 of 1 replicas"):
        await schedule(store, [draft()], "key", "replica")


@pytest.mark.skipif(not _OLD, reason="the bundled server can wait")
async def test_an_old_server_without_always_cannot_tell(settings: Settings, tmp_path: Path) -> None:
    """Before WAITAOF only appendfsync always tells; anything else is refused with both ways out."""
    with private_server(tmp_path / "own", "--appendfsync", "everysec") as server:
        async with opened(settings, server) as store:
            with pytest.raises(InvalidField, match="too old to tell, and appendfsync is not known to be 'always'"):
                await schedule(store, [draft()], asked="fsync")


@needs_waitaof
async def test_a_call_that_comes_as_all_groups_end_is_not_left_behind(settings: Settings, tmp_path: Path) -> None:
    """Groups that wait for the same write to the disk end in one step; whoever calls in that step is answered as well."""
    with private_server(tmp_path / "own", "--appendfsync", "everysec") as server:
        async with opened(settings, server) as store:
            partition, begun, ended = store.partitions[0], list[None](), list[None]()
            commits = Commits(partition.waiting(5, GROUPS), partition.keys.mark, "fsync", store.settings.redis)

            async def call() -> None:
                begun.append(None)
                await commits.run(RENEW, [], ["group", "worker"])
                if not ended:  # the first of the four calls again, at once
                    ended.append(None)
                    await commits.run(RENEW, [], ["group", "worker"])

            calls = list[asyncio.Task[None]]()
            await commits.run(RENEW, [], ["group", "worker"])
            for _ in range(5):
                begun.clear()
                ended.clear()
                calls.clear()
                for _ in range(GROUPS):  # a group each: the next call comes when the one before is on its way
                    calls.append(asyncio.create_task(call()))
                    await eventually(lambda: len(begun) == len(calls) and not commits._groups._asked)
                with SyncRedis(port=server.port) as client:  # the loop is busy with something else until all are answered
                    while client.info("clients")["blocked_clients"]:
                        pass
                await asyncio.wait_for(asyncio.gather(*calls), 5)
