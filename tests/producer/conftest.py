"""Running producers for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings, TopicSettings
from shared.store.partition import Store
from tests.producer.api import Api, serve
from tests.producer.stages import Stages

OpenApi = Callable[[Settings], Awaitable[Api]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The settings of all tests with one topic more."""
    return msgspec.structs.replace(settings, topics=(TopicSettings(name="work", handler="tests.system.recording"),))


@pytest.fixture
async def open_api(redis: Redis) -> AsyncIterator[OpenApi]:
    """Starts producers with given settings; they end before the check for leaked keys."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(settings: Settings) -> Api:
            server = await serve(settings)
            stack.push_async_callback(server.close)
            api = Api(str(server.make_url("")).rstrip("/"), http)
            await api.learn()
            return api

        yield start


@pytest.fixture
async def api(open_api: OpenApi, settings: Settings) -> Api:
    """A producer with the test's settings."""
    return await open_api(settings)


@pytest.fixture
async def stages(store: Store) -> AsyncIterator[Stages]:
    """The dispatcher's and a worker's hands."""
    hands = Stages(store)
    yield hands
    await hands.close()
