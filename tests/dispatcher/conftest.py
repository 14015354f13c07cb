"""Partitions, topics and messages for the dispatcher's parts, on real Redis."""

from __future__ import annotations

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings, TopicSettings
from shared.store.partition import Store
from tests.dispatcher.waiting_messages import Waiting

TOPICS = ("alpha", "beta")
NAMED = {name: TopicSettings(name=name, handler="nobody.asks") for name in TOPICS}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Two topics beside ``echo``, and small batches."""
    dispatcher = msgspec.structs.replace(settings.dispatcher, batch_size=10)
    return msgspec.structs.replace(settings, topics=tuple(NAMED.values()), dispatcher=dispatcher)


@pytest.fixture
def waiting(store: Store, redis: Redis) -> Waiting:
    return Waiting(store, redis)
