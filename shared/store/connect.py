"""Clients made from the connection string: pools, time-outs, TLS, and where a connection leads. Knows no key and no script.

A client is the library's plain one over a pool. Behind sentinels and in a cluster its connections find their server when
they connect (``Located``), and leave it before their next use when it is no longer the right one; nothing else differs.

The client library's own retries are off: a command is repeated only where the caller knows that a repeat is safe.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.settings import RedisSettings
from shared.store.address import Node, parse_address
from shared.store.locate import ASK_S, Locator, View, ask_cluster_node, ask_sentinel
from shared.store.located import Located, LocatedOverTLS, Named, NamedOverTLS
from shared.store.names import Names
from shared.store.packed import packed

Client = Any
"""``redis.asyncio.Redis``. The library types an answer as the union of all that options could make of it; the store knows."""


class Connections:
    """Makes the clients of one process."""

    def __init__(self, settings: RedisSettings, name: str) -> None:
        self._settings, self._name = settings, name
        self._address = parse_address(settings.connection_string)
        self._names = Names()
        self._asked: dict[Node, Client] = {}
        """Sentinels, or nodes of the cluster: a connection to each is kept, since they are asked twice a second."""
        self._locator = self._make_locator()
        self._made: list[Client] = []

    @property
    def differ(self) -> bool:
        """Whether slots lie on different servers, so that each partition needs clients of its own."""
        return self._address.form == "cluster"

    def commands(self, slot: int = 0) -> Client:
        """A client for commands that answer at once, over a pool of connections."""
        timeout_s = self._settings.timeout_ms / 1000
        options = self._located(slot, timeout_s)
        return self._client(BlockingConnectionPool(self._settings.max_connections, timeout_s, **options))

    def waiting(self, wait_s: float, readers: int = 1, slot: int = 0) -> Client:
        """A client for ``readers`` that wait up to ``wait_s``, apart from the pool of commands, which they would use up.

        Each wait is bounded, since a connection can die without a word.
        """
        options = self._located(slot, wait_s + self._settings.timeout_ms / 1000)
        return self._client(ConnectionPool(max_connections=readers + 1, **options))

    async def close(self) -> None:
        """Closes every client that it made."""
        if self._locator is not None:
            await self._locator.close()
        await self._names.close()
        for client in (*self._made, *self._asked.values()):
            await client.aclose()

    def _make_locator(self) -> Locator | None:
        """``None`` where the address names the server itself."""
        address, options = self._address, self._options(ASK_S)
        if address.form == "server":
            return None
        if address.form == "sentinel":
            user, password = address.sentinel_user
            options = {**options, "username": user, "password": password, "db": 0}

        async def ask(node: Node) -> View:
            if node not in self._asked:
                named: dict[str, Any] = {"connection_class": self._class(Named, NamedOverTLS), "names": self._names}
                pool = ConnectionPool(**{**options, **named, "host": node[0], "port": node[1]})
                self._asked[node] = Redis.from_pool(pool)
            client = self._asked[node]
            return await (ask_sentinel(client, address.master) if address.master else ask_cluster_node(client, node))

        return Locator(address.seeds, ask, learns=address.form == "cluster")

    def _client(self, pool: ConnectionPool) -> Client:
        self._made.append(Redis.from_pool(pool))
        return self._made[-1]

    def _located(self, slot: int, timeout_s: float) -> dict[str, Any]:
        options = self._options(timeout_s)
        if self._locator is None:
            return options
        return {
            **options,
            "connection_class": self._class(Located, LocatedOverTLS),
            "locator": self._locator,
            "names": self._names,
            "slot": slot,
            "masters_only": self._address.form == "sentinel",
        }

    def _class(self, plain: type[Connection], encrypted: type[Connection]) -> type[Connection]:
        return encrypted if parse_url(self._address.url).get("connection_class") is SSLConnection else plain

    def _options(self, timeout_s: float) -> dict[str, Any]:
        given: dict[str, Any] = {**parse_url(self._address.url)}
        return {
            **given,
            "connection_class": packed(given.get("connection_class", Connection)),
            "socket_timeout": timeout_s,
            "socket_connect_timeout": min(timeout_s, self._settings.timeout_ms / 1000),
            **({} if "path" in given else {"socket_keepalive": True}),
            "retry": Retry(NoBackoff(), 0),
            "retry_on_error": [],
            "protocol": 2,  # one shape of answers on every server from 6.2 on
            "client_name": self._name,
        }
