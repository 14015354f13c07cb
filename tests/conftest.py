"""A server for the session, a key prefix for each test, and a check that no test leaves a key behind.

Tests share the server and nothing else, so they run in any order and side by side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from redis.asyncio import Redis

from shared.settings import (
    ConsumersSettings,
    DispatcherSettings,
    ProducerSettings,
    RedisSettings,
    Settings,
)
from shared.store.partition import Store
from tests.support.keys import delete_keys, leaked_keys
from tests.support.server import chosen_server


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaves(*names): keys (without prefix) that the test leaves on purpose")
    config.addinivalue_line("markers", "chaos: the whole service under faults; not beside other tests, which it would starve")
    config.addinivalue_line("markers", "containers: needs a Docker engine; run by `make test-containers`")


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server, one for each process that runs tests."""
    with chosen_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test has."""
    return f"t{token_hex(6)}"


@pytest.fixture
async def redis(server_url: str, prefix: str, request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """A plain client to look and meddle with; afterwards, the check that no key leaked."""
    client = Redis.from_url(server_url, protocol=2)
    yield client
    leaked = await leaked_keys(client, prefix)
    marker = request.node.get_closest_marker("leaves")
    allowed = marker.args if marker else ()
    await delete_keys(client, prefix)
    await client.aclose()
    unexpected = {name: kind for name, kind in leaked.items() if not name.startswith(tuple(allowed))} if allowed else leaked
    assert unexpected == {}, "the test left keys behind"


@pytest.fixture
def settings(server_url: str, prefix: str, tmp_path: Path) -> Settings:
    """Settings on the session's server, under the test's own prefix, with free ports and short times."""
    return Settings(
        redis=RedisSettings(connection_string=server_url, key_prefix=prefix),
        producer=ProducerSettings(port=0),
        dispatcher=DispatcherSettings(port=0),
        consumers=ConsumersSettings(port=0, lease_ms=1000, grace_ms=2000),
    )


@pytest.fixture
async def store(settings: Settings, redis: Redis) -> AsyncIterator[Store]:
    """An open store with its clock read."""
    opened = Store(settings, "test")
    await opened.synchronise()
    yield opened
    await opened.close()
