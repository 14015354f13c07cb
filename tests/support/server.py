"""The server that the tests run on: the bundled one, a container, or one that is named.

``TEST_SERVER`` chooses: ``bundled`` (the default), ``container`` (testcontainers, where a Docker engine is reachable), or a
``redis://`` URL of a server that holds nothing of value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.server import BundledServer

CHOICE = "TEST_SERVER"
IMAGE = "redis:8"


@contextmanager
def chosen_server(folder: Path) -> Iterator[str]:
    """Yields the URL of a running server."""
    choice = os.environ.get(CHOICE, "bundled")
    if choice == "bundled":
        with private_server(folder) as server:
            yield server.url
    elif choice == "container":
        with _container() as url:
            yield url
    else:
        yield choice


@contextmanager
def private_server(folder: Path, *options: str) -> Iterator[BundledServer]:
    """A bundled server of one's own, to stop, kill and start again."""
    server = BundledServer(folder / "data", folder / "redis.log", options=options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _container() -> Iterator[str]:
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # the container is removed here
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    container = DockerContainer(IMAGE).with_command("redis-server --appendonly yes --save ''").with_exposed_ports(6379)
    container.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    with container:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
