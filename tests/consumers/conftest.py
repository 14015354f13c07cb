"""Workers on real Redis, whose steps are called one at a time, and messages that are ready for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from cli.server import BundledServer
from consumers.registry import Handler
from consumers.worker import Worker
from shared.settings import Settings, TopicSettings
from shared.store.partition import Store
from tests.consumers.flow import Flow
from tests.consumers.making import make_handler
from tests.support.server import private_server

MakeWorker = Callable[..., Awaitable[Worker]]
TOPICS = ("alpha", "beta")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Two topics beside ``echo``, four threads, a lease that is renewed before a test ends."""
    consumers = msgspec.structs.replace(settings.consumers, threads=4, lease_ms=2_000)
    topics = tuple(TopicSettings(name=name, handler="given.by.the.test") for name in TOPICS)
    return msgspec.structs.replace(settings, consumers=consumers, topics=topics)


class Workers:
    """Makes workers whose groups exist. Nothing of them runs: tests call single steps, or ``run``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: list[Worker] = []

    async def make(self, name: str = "worker-1", **handlers: Handler) -> Worker:
        worker = Worker(self._store, self._store.settings, handlers or {topic: make_handler() for topic in TOPICS}, name)
        self._made.append(worker)
        for line in worker._lines:
            await line.open()
        return worker

    async def close(self) -> None:
        for worker in self._made:
            await worker.close()


@pytest.fixture
async def make_worker(store: Store) -> AsyncIterator[MakeWorker]:
    workers = Workers(store)
    yield workers.make
    await workers.close()


@pytest.fixture
def flow(store: Store, redis: Redis) -> Flow:
    return Flow(store, redis)


@dataclass
class Own:
    """A server of the test's own, to kill, start again and fill up."""

    server: BundledServer
    store: Store
    redis: Redis
    flow: Flow
    make_worker: MakeWorker


@pytest.fixture
async def own(settings: Settings, tmp_path: Path) -> AsyncIterator[Own]:
    with private_server(tmp_path / "own", "--appendfsync", "always") as server:
        redis_settings = msgspec.structs.replace(settings.redis, connection_string=server.url)
        store = Store(msgspec.structs.replace(settings, redis=redis_settings), "test")
        await store.synchronise()
        workers, redis = Workers(store), Redis.from_url(server.url, protocol=2)
        yield Own(server, store, redis, Flow(store, redis), workers.make)
        await workers.close()
        await redis.aclose()
        await store.close()
