"""The service in containers, for tests. Without an engine they are skipped, unless ``REQUIRE_CONTAINERS`` is set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.containers.compose import Compose, why_no_engine


@pytest.fixture(scope="session")
def engine() -> None:
    """A reachable Docker engine with Compose v2."""
    reason = why_no_engine()
    if reason and os.environ.get("REQUIRE_CONTAINERS"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The whole service with a slow topic, up and healthy. Tests leave it with two workers."""
    with _copy(tmp_path_factory) as copy:
        copy.add_slow_topic()
        copy.up()
        yield copy


@pytest.fixture
def own_compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The same for one test alone, to be stopped."""
    with _copy(tmp_path_factory) as copy:
        copy.add_slow_topic()
        copy.up()
        yield copy


@pytest.fixture
def fresh_compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """What somebody has who just cloned the repository. Nothing runs yet."""
    with _copy(tmp_path_factory) as copy:
        yield copy


@pytest.fixture(scope="module")
def sentinel_compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The service behind sentinels, up and healthy. Tests leave every server running, in any role."""
    with _copy(tmp_path_factory, "compose.sentinel.yaml") as copy:
        copy.up()
        yield copy


@pytest.fixture(scope="module")
def cluster_compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The service on a cluster, up and healthy. Tests leave every node running, in any role."""
    with _copy(tmp_path_factory, "compose.cluster.yaml") as copy:
        copy.up()
        yield copy


@contextmanager
def _copy(tmp_path_factory: pytest.TempPathFactory, *files: str) -> Iterator[Compose]:
    compose = Compose(tmp_path_factory.mktemp("compose") / "copy", *files)
    try:
        yield compose
    finally:
        compose.remove()
