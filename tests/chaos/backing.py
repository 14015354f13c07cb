"""What the service of a run keeps its messages in: one server, a master watched by sentinels, or a cluster.

Faults reach the servers through this; the service's processes reach them by ``connection_string``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis

from cli.server import BundledServer
from tests.support.cluster import Cluster, private_cluster
from tests.support.nodes import Node
from tests.support.sentinel import Sentinels, private_sentinels
from tests.support.server import private_server

FORMS = ("server", "sentinel", "cluster")
REPLICAS = 2
"""Of the master that sentinels watch."""


class Backing(Protocol):
    port: int
    """Where a link to it leads; 0 where its address cannot be a link's."""
    replicas: int
    """How many must have a write before it is as safe as ``replica``: all, or what an operator replaces loses some."""

    def connection_string(self, link_port: int) -> str:
        """For a process whose link listens there."""

    def masters(self) -> list[Redis]:
        """A client of each server that takes writes now."""

    def is_whole(self) -> bool:
        """Whether every server runs and follows, so that one of them may fail (again). Blocks; raises where one is out."""

    async def close(self) -> None:
        """Closes every client that it made."""

    def reign(self) -> object:
        """Changes when a server takes another's place. Blocks; raises where nobody answers."""


class OneServer:
    replicas = 1

    def __init__(self, server: BundledServer) -> None:
        self.server, self.port = server, server.port
        self._client = Redis.from_url(server.url, protocol=2, socket_timeout=10)

    def connection_string(self, link_port: int) -> str:
        return f"redis://127.0.0.1:{link_port}/0"

    def masters(self) -> list[Redis]:
        return [self._client]

    def is_whole(self) -> bool:
        return self.server.is_running()

    def reign(self) -> object:
        return None

    async def close(self) -> None:
        await self._client.aclose()


class _Nodes:
    """Servers that tell their own addresses, so that no link can stand before them."""

    port = 0

    def __init__(self) -> None:
        self._clients: dict[int, Redis] = {}

    def client(self, node: Node) -> Redis:
        if node.port not in self._clients:
            self._clients[node.port] = Redis(port=node.port, protocol=2, socket_timeout=10)
        return self._clients[node.port]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


class Watched(_Nodes):
    replicas = REPLICAS

    def __init__(self, group: Sentinels) -> None:
        super().__init__()
        self.group = group

    def connection_string(self, _: int) -> str:
        return self.group.url

    def masters(self) -> list[Redis]:
        return [self.client(self.group.master())]

    def is_whole(self) -> bool:
        return self.group.is_whole()

    def reign(self) -> object:
        return self.group.epoch()


class Clustered(_Nodes):
    replicas = 1

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster

    def connection_string(self, _: int) -> str:
        return self.cluster.url

    def masters(self) -> list[Redis]:
        return [self.client(node) for node in self.cluster.holders()]

    def is_whole(self) -> bool:
        return self.cluster.is_whole()

    def reign(self) -> object:
        return {node.port for node in self.cluster.holders()}


@contextmanager
def private_backing(form: str, folder: Path, appendfsync: str) -> Iterator[Backing]:
    """Servers of one's own, with their append-only files on."""
    if form == "server":
        with private_server(folder, "--appendfsync", appendfsync) as server:
            yield OneServer(server)
    elif form == "sentinel":
        with private_sentinels(folder, REPLICAS, appendfsync) as group:
            yield Watched(group)
    else:
        with private_cluster(folder, replicas=1, appendfsync=appendfsync) as cluster:
            yield Clustered(cluster)
