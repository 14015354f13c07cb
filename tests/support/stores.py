"""A store on servers of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.errors import Outage
from shared.settings import RedisSettings, Settings
from shared.store.partition import Store


@asynccontextmanager
async def opened_store(url: str, partitions: int, **redis: Any) -> AsyncIterator[Store]:
    """``redis``: more of its settings."""
    settings = Settings(redis=RedisSettings(connection_string=url, **redis), partitions=partitions)
    store = Store(settings, "test")
    try:
        yield store
    finally:
        await store.close()


async def works(store: Store) -> bool:
    """Whether every partition's server answers."""
    try:
        await store.register_topics()
    except Outage:
        return False
    return True
