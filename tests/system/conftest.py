"""Whole services for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.system.service import Service

MakeService = Callable[..., Service]


@pytest.fixture
async def make_service(server_url: str, prefix: str, tmp_path: Path, redis: Redis) -> AsyncIterator[MakeService]:
    """Makes services that are stopped after the test, before the check for leaked keys."""
    made: list[Service] = []

    def make(redis_url: str = server_url, **settings: object) -> Service:
        folder = tmp_path / f"service-{len(made) + 1}"
        folder.mkdir()
        service = Service(redis_url, prefix, folder, **settings)
        made.append(service)
        return service

    yield make
    for service in made:
        await service.stop()
