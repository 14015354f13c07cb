"""The store behind real sentinels: the master is found, followed when it changes, and left when it is none any more."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

import pytest

from shared.errors import Outage
from shared.settings import RedisSettings, Settings
from shared.store import messages
from shared.store.accept import Draft, schedule
from shared.store.partition import Store
from tests.support.sentinel import MASTER, Sentinels, private_sentinels
from tests.support.waiting import eventually

HOUR_MS = 3_600_000


@pytest.fixture
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with private_sentinels(tmp_path_factory.mktemp("sentinels")) as group:
        yield group


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    redis = RedisSettings(connection_string=url, key_prefix=f"t{token_hex(6)}", timeout_ms=1000)
    store = Store(Settings(redis=redis, partitions=2), "test")
    try:
        yield store
    finally:
        await store.close()


async def accept(store: Store) -> str:
    """One message, however long that takes."""

    async def accepted() -> str:
        try:
            return (await schedule(store, [Draft("echo", "text", b"x", delay_ms=HOUR_MS)])).ids[0]
        except Outage:
            return ""

    return str(await eventually(accepted, within_s=30, what="a message is accepted"))


async def test_a_fail_over_is_followed(group: Sentinels) -> None:
    """After the master's end its replica is used, and has what had reached it."""
    async with opened(group.url) as store:
        first = await accept(store)
        old = group.servers[0]
        await eventually(lambda: old.command("WAIT", 1, 100) == 1)

        old.kill()

        second = await accept(store)
        await eventually(lambda: group.master() is group.servers[1], what="the first sentinel has heard of it")
        assert {(await messages.get(store, message_id)).status for message_id in (first, second)} == {"scheduled"}


async def test_a_master_that_slept_through_its_replacement_is_left(group: Sentinels) -> None:
    """Open connections to it are not used again, though it still takes itself for the master when it wakes up."""
    async with opened(group.url) as store:
        await accept(store)
        old = group.servers[0]

        old.send(signal.SIGSTOP)
        await eventually(lambda: group.master() is not old, within_s=30)
        second = await accept(store)
        old.send(signal.SIGCONT)

        third = await accept(store)
        await eventually(lambda: old.command("ROLE")[0] == "slave", within_s=30)
        assert {(await messages.get(store, message_id)).status for message_id in (second, third)} == {"scheduled"}


async def test_sentinels_that_are_gone_stop_no_master(group: Sentinels) -> None:
    """What was known last is used on, by open connections and by new ones."""
    async with opened(group.url) as store:
        await accept(store)

        for sentinel in group.sentinels:
            sentinel.kill()
        await store.partitions[0].client.connection_pool.disconnect()

        await accept(store)


async def test_one_sentinel_is_enough(group: Sentinels) -> None:
    """Those that do not answer are not waited for."""
    for sentinel in group.sentinels[:2]:
        sentinel.kill()

    async with opened(group.url) as store:
        await accept(store)


async def test_a_name_that_is_looked_up_for_ever_holds_up_nothing_else(group: Sentinels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server for names is silent about one sentinel, the others are found all the same, and with them the new master.

    The event loop looks names up in threads, here two. The real look-up of a name that is gone takes ten seconds and more.
    """
    look_up, over, asked = socket.getaddrinfo, threading.Event(), list[str]()

    def slow_for_one(host: str, *arguments: Any, **options: Any) -> Any:
        asked.append(host)
        if host == "gone.example":
            over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answers")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow_for_one)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    names = ",".join(f"localhost:{one.port}" for one in group.sentinels)
    try:
        async with opened(f"redis+sentinel://gone.example,{names}/{MASTER}") as store:
            await accept(store)
            old = group.servers[0]
            await eventually(lambda: old.command("WAIT", 1, 100) == 1)

            old.kill()

            await accept(store)
            assert asked.count("gone.example") == 1
    finally:
        over.set()


async def test_a_master_that_nobody_knows_is_an_outage_that_names_it(group: Sentinels) -> None:
    """Whoever has mistyped the name reads which, and who was asked."""
    async with opened(group.url.replace(MASTER, "nobody")) as store:
        with pytest.raises(Outage, match=r"127\.0\.0\.1.*nobody"):
            await store.synchronise()
