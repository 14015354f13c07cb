"""A producer as QStash's clients see it, and dead letters for its DLQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from qstash import QStash

from shared.settings import Settings
from tests.producer.api import Api
from tests.producer.qstash.webhooks import Webhooks
from tests.store.stage import open_stage

Told = TypeVar("Told")


class Client:
    """The official client, which blocks; so each call is made in a thread."""

    def __init__(self, url: str) -> None:
        self._client = QStash("no key is asked for", base_url=url, retry=False)

    async def call(self, act: Callable[[QStash], Told]) -> Told:
        return await asyncio.to_thread(act, self._client)

    def close(self) -> None:
        self._client.http._client.close()


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    made = Client(api.url)
    yield made
    made.close()


@pytest.fixture
async def webhooks(settings: Settings, api: Api) -> AsyncIterator[Webhooks]:
    """The store's own hands, on webhook messages."""
    async with open_stage(settings) as stage:
        hands = Webhooks(stage)
        yield hands
        await hands.close()
