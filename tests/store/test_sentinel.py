"""The store behind real sentinels: the master is found, followed when it changes, and left when it is none any more."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from secrets import token_hex
from typing import Any

import pytest

from shared.errors import Outage
from shared.store import messages
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.locate import RECHECK_S
from shared.store.partition import Store
from tests.support.nodes import Node
from tests.support.sentinel import MASTER, Sentinels, private_sentinels
from tests.support.stores import opened_store
from tests.support.waiting import eventually

HOUR_MS = 3_600_000


@pytest.fixture
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with private_sentinels(tmp_path_factory.mktemp("sentinels")) as group:
        yield group


def opened(url: str) -> AbstractAsyncContextManager[Store]:
    return opened_store(url, 2, key_prefix=f"t{token_hex(6)}", timeout_ms=1000)


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


async def test_who_has_asked_nothing_for_long_asks_first(group: Sentinels) -> None:
    """A process that was idle while the master was replaced writes nothing to the old one, though it is awake again."""
    async with opened(group.url) as store:
        await accept(store)
        old, new = group.servers
        await eventually(lambda: waiting(store, new) == 1, what="the replica has it")
        until_s = time.monotonic() + 2 * RECHECK_S

        old.send(signal.SIGSTOP)
        await eventually(lambda: group.master() is new, within_s=30)
        await eventually(partial(is_past, until_s))
        old.send(signal.SIGCONT)

        await accept(store)
        assert waiting(store, new) == 2


async def test_a_sentinel_that_has_forgotten_is_not_believed(group: Sentinels) -> None:
    """One that starts anew, while its fellows answer nothing, names the first master: what was known since is newer."""
    async with opened(group.url) as store:
        await accept(store)
        old, new = group.servers
        forgetful, *fellows = group.sentinels
        old.send(signal.SIGSTOP)
        await eventually(lambda: group.master() is new, within_s=30)
        await accept(store)

        for sentinel in fellows:
            sentinel.send(signal.SIGSTOP)
        forgetful.forget()
        old.send(signal.SIGCONT)
        await eventually(lambda: group.master() is old)

        before = waiting(store, new)
        for _ in range(3):  # each is late enough to ask, and to use what the one before has asked
            until_s = time.monotonic() + RECHECK_S
            await eventually(partial(is_past, until_s))
            await accept(store)
        assert waiting(store, new) == before + 3


def is_past(until_s: float) -> bool:
    return time.monotonic() > until_s


def waiting(store: Store, server: Node) -> int:
    """Messages that wait on that server."""
    return sum(int(server.command("ZCARD", partition.keys.due("echo"))) for partition in store.partitions)


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
