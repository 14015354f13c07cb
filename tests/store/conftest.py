"""What the tests of the store share: a stage, the wake-ups that are heard, and a server of their own to spoil."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.store.connect import Client
from shared.store.partition import Store
from tests.store.stage import Stage
from tests.support.server import private_server


@pytest.fixture
async def stage(store: Store, redis: Client) -> AsyncIterator[Stage]:
    """A partition to play on."""
    made = Stage(store)
    yield made
    await made.close()


class Wakes:
    """What was published on a partition's wake-up channel."""

    def __init__(self, redis: Client, channel: str) -> None:
        self._redis, self._channel = redis, channel
        self._subscription = redis.pubsub(ignore_subscribe_messages=True)

    async def open(self) -> None:
        await self._subscription.subscribe(self._channel)
        await self.heard()

    async def heard(self) -> list[str]:
        """Everything since the last call. A marker of our own ends it: Redis keeps the order."""
        await self._redis.publish(self._channel, "marker")
        found: list[str] = []
        while True:
            message = await self._subscription.get_message(timeout=5)
            if message is None:
                continue
            if message["data"] == b"marker":
                return found
            found.append(message["data"].decode())

    async def close(self) -> None:
        await self._subscription.aclose()


@pytest.fixture
async def wakes(stage: Stage, redis: Client) -> AsyncIterator[Wakes]:
    """Hears the wake-ups from here on."""
    made = Wakes(redis, stage.keys.wake_channel)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def own_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bundled server whose configuration tests may change, and put back. Tests of one process run one after the other."""
    with private_server(tmp_path_factory.mktemp("own-server")) as server:
        yield server.url
