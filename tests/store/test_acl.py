"""What SECURITY.md says of a Redis user's optional commands: what each is for, and what happens without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from shared.errors import Outage
from shared.store.accept import Unconfirmed, schedule
from shared.store.chunks import Draft
from shared.store.due import WakeUps
from shared.store.partition import Store
from tests.support.acl import MAIN, PASSWORD, Guarded, User, documented, line_with
from tests.support.cluster import private_cluster
from tests.support.nodes import Node
from tests.support.sentinel import private_sentinels
from tests.support.server import private_server
from tests.support.stores import opened_store

DRAFT = Draft("echo", "text", b"x", delay_ms=3_600_000)
SENTINEL_USER = "sentinel_username=mss-sentinel&sentinel_password=PASSWORD"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """A server that knows the user of the page and nobody else."""
    with private_server(tmp_path / "own") as server:
        made = Guarded(server.port)
        yield made
        made.close()


def opened(url: str) -> AbstractAsyncContextManager[Store]:
    return opened_store(url, 2, timeout_ms=2000, confirm_timeout_ms=2000)


async def refusal_of(url: str) -> str:
    """What the user of that address is refused; '' where a message can be scheduled."""
    async with opened(url) as store:
        try:
            await store.synchronise()
            await schedule(store, [DRAFT])
        except Outage as outage:
            return str(outage)
    return ""


def allow(node: Node, user: User) -> None:
    node.command("ACL", "SETUSER", user.name, *user.rules)


def test_no_command_stands_on_the_page_twice() -> None:
    """Each has one reason, and the tests try each."""
    commands = [command for user in documented() if user.name == "mss" for command in user.commands]

    assert len(commands) == len(set(commands)) > 40
    assert {user.name for user in documented()} == {"mss", "mss-sentinel"}


@pytest.mark.parametrize(("rule", "asked"), [("+waitaof", "fsync"), ("+wait", "replica")])
async def test_without_its_wait_a_durability_is_not_reached_and_says_why(guarded: Guarded, rule: str, asked: str) -> None:
    """It was done, and is not known to be safe; what asks for less works."""
    if guarded.version < (7, 2) and asked == "fsync":
        pytest.skip("this server has no WAITAOF")
    async with opened(guarded.allow_service(rule)) as store:
        with pytest.raises(Unconfirmed, match=rf"{asked} was not reached: .*{rule[1:]}"):
            await schedule(store, [DRAFT], asked=asked)  # type: ignore[arg-type] # one of Durability

        assert (await schedule(store, [DRAFT])).durability == "memory"


async def test_without_subscribe_the_wake_ups_alone_are_refused(guarded: Guarded) -> None:
    """Nothing relies on them: all else works, and who looks for the reason finds it."""
    async with opened(guarded.allow_service("+subscribe")) as store:
        await store.synchronise()
        wake_ups = WakeUps(store.partitions[0])

        with pytest.raises(Outage, match=r"noauth: .*subscribe"):
            await wake_ups.next()

        assert (await schedule(store, [DRAFT])).ids


async def test_another_database_needs_select(guarded: Guarded) -> None:
    """Database 0 does not."""
    url = guarded.allow_service().removesuffix("/0") + "/1"
    assert "select" in await refusal_of(url)

    guarded.allow(line_with("select"))

    assert await refusal_of(url) == ""


async def test_behind_sentinels_a_user_needs_role_and_the_sentinels_theirs(tmp_path: Path) -> None:
    """With the lines of the page a message is scheduled, and without any command of theirs not."""
    asking = line_with("sentinel|master")
    with private_sentinels(tmp_path) as group:
        for sentinel in group.sentinels:
            allow(sentinel, asking)
            sentinel.command("ACL", "SETUSER", "default", "-@all", "+acl", "+ping")
        for server in group.servers:
            allow(server, line_with(MAIN))
        url = f"{group.url.replace('://', f'://mss:{PASSWORD}@')}?{SENTINEL_USER}"
        assert "role" in await refusal_of(url)

        for server in group.servers:
            allow(server, line_with("role"))
        assert await refusal_of(url) == ""

        assert "permissions" in await refusal_of(url.partition("?")[0]), "as the sentinels' default user"
        for command in asking.commands:
            for sentinel in group.sentinels:
                allow(sentinel, asking.without(f"+{command}"))
            assert command.partition("|")[0] in await refusal_of(url)


async def test_in_a_cluster_a_user_needs_to_ask_who_holds_what(tmp_path: Path) -> None:
    """With the lines of the page, on each node, a message is scheduled, and without any command of the second not."""
    asking = line_with("cluster|slots")
    with private_cluster(tmp_path) as cluster:
        url = cluster.url.replace("://", f"://mss:{PASSWORD}@")
        for command in asking.commands:
            for node in cluster.nodes:
                allow(node, line_with(MAIN))
                allow(node, asking.without(f"+{command}"))
            assert "cluster" in await refusal_of(url)

        for node in cluster.nodes:
            allow(node, asking)

        assert await refusal_of(url) == ""
