"""One service for all tests of a process, emptied between them; QStash's two clients, unmodified; a receiver."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tests.qstash.js_client import Js, running_js
from tests.qstash.node import NotInstalled, node
from tests.qstash.python_client import Python
from tests.qstash.whole import SIGNED, Served, empty, whole_service
from tests.support.keys import delete_keys, leaked_keys
from tests.support.receiver import Receiver, running_receiver
from tests.support.server import chosen_server

KEPT = ("log", "flow:webhook:log")
"""What a service keeps although nothing is in it: what happened, and what was let through within its period."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The service, and at its end the check that emptied it holds nothing but what it keeps.

    On a server of its own: it runs to the end of the session, and others count what theirs is asked.
    """
    with chosen_server(tmp_path_factory.mktemp("qstash-server")) as url:
        prefix, redis = f"t{token_hex(6)}", Redis.from_url(url, protocol=2)
        async with whole_service(url, prefix, tmp_path_factory.mktemp("qstash"), **SIGNED) as started:
            yield started
        leaked = await leaked_keys(redis, prefix)
        await delete_keys(redis, prefix)
        await redis.aclose()
    assert {name: kind for name, kind in leaked.items() if not name.startswith(KEPT)} == {}, "tests left keys behind"


@pytest.fixture
async def emptied(served: Served) -> AsyncIterator[Served]:
    """The service, emptied after the test. Asked for before the receiver, so that this is closed by then."""
    yield served
    await empty(served)


@pytest.fixture
async def own_service(server_url: str, tmp_path: Path, redis: Redis, prefix: str) -> AsyncIterator[Served]:
    """Another one for a test that changes what all share: without signing keys in its settings."""
    async with whole_service(server_url, prefix, tmp_path) as started:
        yield started


@pytest.fixture
def receiver(emptied: Served) -> Iterator[Receiver]:
    with running_receiver() as started:
        yield started


@pytest.fixture
def name() -> str:
    """Of a queue, a URL group or a key: no other test has it."""
    return f"n{token_hex(4)}"


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, emptied: Served) -> AsyncIterator[Python]:
    """The official client, with nothing changed but the URL and the token."""
    made = Python(request.param, emptied)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def node_program() -> Path:
    """Node.js with QStash's client. Without it tests are skipped, with the reason; under ``CI=true`` they fail."""
    try:
        return node()
    except NotInstalled as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(str(reason))


@pytest.fixture
async def js(node_program: Path, emptied: Served, tmp_path: Path) -> AsyncIterator[Js]:
    """The official client for JavaScript, in a process of its own."""
    async with running_js(node_program, emptied, tmp_path) as started:
        yield started
