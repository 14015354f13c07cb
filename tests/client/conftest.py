"""Producers and both clients for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client.faces import FACES, Face, open_face
from tests.client.misbehaving import Misbehaving
from tests.producer.api import Api
from tests.producer.conftest import api, open_api, settings, stages

__all__ = ["api", "open_api", "settings", "stages"]


@pytest.fixture(params=FACES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two clients: each test that asks for it runs with both."""
    return str(request.param)


@pytest.fixture
async def face(kind: str, api: Api) -> AsyncIterator[Face]:
    """A client of the test's producer."""
    async with open_face(kind, api.url) as opened:
        yield opened


@pytest.fixture
async def misbehaving(api: Api) -> AsyncIterator[Misbehaving]:
    """A server before the test's producer that does what a test tells it to."""
    async with Misbehaving(api) as running:
        yield running


@pytest.fixture
async def badly_served(kind: str, misbehaving: Misbehaving) -> AsyncIterator[Face]:
    """A client of that server."""
    async with open_face(kind, misbehaving.url) as opened:
        yield opened
