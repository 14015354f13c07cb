"""What is said about an unsafe server before work begins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from shared.errors import Outage
from shared.settings import RedisSettings, Settings
from shared.store.connect import Client
from shared.store.partition import Store, report
from shared.store.preflight import Preflight, _version_warnings, inspect
from tests.support.server import chosen_binary

SAFE = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "no-appendfsync-on-rewrite": "no"}


@pytest.fixture
async def own_redis(own_server_url: str) -> AsyncIterator[Client]:
    """A server whose configuration may be spoiled; put back afterwards."""
    client: Client = Redis.from_url(own_server_url, protocol=2)
    yield client
    for name, value in SAFE.items():
        await client.config_set(name, value)
    await client.aclose()


@pytest.mark.skipif(chosen_binary() is not None, reason="another binary takes the bundled server's place")
async def test_the_bundled_server_is_safe(own_redis: Client) -> None:
    """What `make run` starts needs no warning, and says what it is."""
    found = await inspect(own_redis)

    assert found.warnings == ()
    product, version = found.server.split()
    assert product == "valkey"
    assert int(version.split(".")[0]) >= 9


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru: Redis may drop messages"),
        ("maxmemory-policy", "volatile-ttl", "maxmemory-policy is volatile-ttl"),
        ("appendonly", "no", "appendonly is off: messages accepted since the last snapshot are lost"),
        ("appendfsync", "no", "appendfsync is 'no': accepted messages are lost when the machine fails"),
        ("no-appendfsync-on-rewrite", "yes", "no-appendfsync-on-rewrite is on: what is accepted stays off the disk while"),
    ],
)
async def test_each_unsafe_setting_is_named(own_redis: Client, name: str, value: str, words: str) -> None:
    """One warning for one fault, with what is lost by it."""
    await own_redis.config_set(name, value)

    (warning,) = (await inspect(own_redis)).warnings

    assert warning.startswith(words)


async def test_always_with_pauses_is_not_always(own_redis: Client) -> None:
    """An answer means that the write is on the disk only where nothing keeps the server from putting it there."""
    await own_redis.config_set("appendfsync", "always")
    assert (await inspect(own_redis)).always

    await own_redis.config_set("no-appendfsync-on-rewrite", "yes")

    assert not (await inspect(own_redis)).always


async def test_several_faults_are_all_named(own_redis: Client) -> None:
    """A person who mends one should not meet the next at the next start."""
    await own_redis.config_set("maxmemory-policy", "allkeys-lru")
    await own_redis.config_set("appendonly", "no")

    assert len((await inspect(own_redis)).warnings) == 2


async def test_a_server_that_hides_its_configuration_is_unknown_not_unsafe(own_redis: Client, own_server_url: str) -> None:
    """Managed services forbid CONFIG: the process starts, and says that it could not look."""
    await own_redis.acl_setuser("no-config", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-config"])
    client = Redis.from_url(own_server_url, protocol=2, username="no-config", password="")

    (warning,) = (await inspect(client)).warnings

    assert warning.startswith("CONFIG GET is not allowed")
    await client.aclose()
    await own_redis.acl_deluser("no-config")


@pytest.mark.parametrize(
    ("product", "version", "old"),
    [
        ("redis", "6.0.16", True),
        ("redis", "6.2.0", False),
        ("redis", "8.0.2", False),
        ("redis", "10.0.0", False),
        ("valkey", "7.1.9", True),
        ("valkey", "7.2.0", False),
        ("valkey", "9.1.2", False),
    ],
)
def test_an_old_server_is_named(product: str, version: str, old: bool) -> None:
    """Versions are compared as numbers, each product by its own oldest."""
    assert [f"{product} {version} is older than" in warning for warning in _version_warnings(product, version)] == [True] * old


async def test_no_server_is_an_outage_to_inspect_and_nothing_to_report(settings: Settings) -> None:
    """What looks at the server does not keep a process from waiting for it."""
    nowhere = msgspec.structs.replace(settings, redis=RedisSettings(connection_string="127.0.0.1:1"))
    store = Store(nowhere, "test")

    with pytest.raises(Outage):
        await store.inspect()
    await report(store)

    await store.close()


async def test_the_report_looks_at_a_real_server(own_redis: Client, settings: Settings, own_server_url: str) -> None:
    """Reporting changes nothing about what is found, and every partition knows it afterwards."""
    own = msgspec.structs.replace(settings, redis=RedisSettings(connection_string=own_server_url), partitions=3)
    store = Store(own, "test")
    before: Preflight = await inspect(own_redis)

    await report(store)

    assert await inspect(own_redis) == before
    assert [partition.preflight for partition in store.partitions] == [before] * 3
    await store.close()


async def test_a_clock_that_differs_is_named(settings: Settings, own_server_url: str) -> None:
    """A host whose clock is wrong changes nothing, and somebody should know."""
    store = Store(msgspec.structs.replace(settings, redis=RedisSettings(connection_string=own_server_url)), "test")
    await store.synchronise()
    assert not [warning for warning in (await store.inspect()).warnings if "clock" in warning]

    store.partitions[0].clock._offset_us -= 2_000_000

    (warning,) = [warning for warning in (await store.inspect()).warnings if "clock" in warning]
    assert "differs from Redis's by" in warning
    await store.close()


async def test_replicas_that_are_asked_for_and_missing_are_named(own_redis: Client) -> None:
    """Whoever sets Durability to replica learns at the start that none is there."""
    assert (await inspect(own_redis)).warnings == ()

    (warning,) = (await inspect(own_redis, replicas=1)).warnings

    assert warning == "0 replicas are connected and Durability asks for 1: what asks for it is refused"
