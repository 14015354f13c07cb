"""The server that the tests run on: the bundled one, a container, another binary, or one that is named.

``TEST_SERVER`` chooses: ``bundled`` (the default), ``container`` (testcontainers, where a Docker engine is reachable), the
path of a server's binary, or a ``redis://`` URL of a server that holds nothing of value.
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
    if choice == "container":
        with _container() as url:
            yield url
    elif "://" in choice:
        yield choice
    else:
        with private_server(folder) as server:
            yield server.url


@contextmanager
def private_server(folder: Path, *options: str) -> Iterator[BundledServer]:
    """A server of one's own, to stop, kill and start again: the chosen binary, else the bundled one."""
    server = BundledServer(folder / "data", folder / "redis.log", options=options, binary=chosen_binary())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def chosen_binary() -> Path | None:
    """The server's binary that ``TEST_SERVER`` names, if it does."""
    choice = os.environ.get(CHOICE, "")
    return Path(choice).resolve(strict=True) if "/" in choice and "://" not in choice else None


@contextmanager
def _container() -> Iterator[str]:
    """Any image of Redis from 6.2 on; it is removed here, so testcontainers' own remover is not needed."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    command = "redis-server --appendonly yes --maxmemory-policy noeviction --save ''"
    container = DockerContainer(IMAGE).with_command(command).with_exposed_ports(6379)
    container.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    with container:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
