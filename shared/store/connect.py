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
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.settings import RedisSettings
from shared.store.address import Node, parse_address
from shared.store.locate import ASK_S, Locator, View, ask_cluster_node, ask_sentinel
from shared.store.outage import outage_of

Client = Any
"""``redis.asyncio.Redis``. The library types an answer as the union of all that options could make of it; the store knows."""
_DOUBTFUL = frozenset(
    {"readonly", "moved", "masterdown", "clusterdown", "loading", "unblocked", "noreplicas", "connection", "timeout", "tls"}
)
"""Kinds of refusal after which the node may not be the right one any more."""


class Located(Connection):
    """A connection to whichever node holds its slot when it connects."""

    def __init__(self, *, locator: Locator, slot: int, masters_only: bool, **options: Any) -> None:
        super().__init__(**options)
        self._locator, self._slot, self._masters_only = locator, slot, masters_only
        self._node: Node = ("", 0)

    async def connect(self) -> None:
        """Called by the pool before each use."""
        if self.is_connected and await self._locator.node(self._slot) != self._node:
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call] # the library leaves it untyped

    async def _connect(self) -> None:
        self._node = self.host, self.port = await self._locator.node(self._slot)
        try:
            await super()._connect()  # type: ignore[no-untyped-call] # the library leaves it untyped
        except (OSError, TimeoutError):
            self._locator.doubt(self._node)
            raise

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's signature
        await super().on_connect_check_health(check_health=check_health)
        if not self._masters_only:
            return
        await self.send_command("ROLE", check_health=False)
        role = (await self.read_response())[0]
        if role != b"master":
            self._locator.doubt(self._node)
            raise RedisConnectionError(f"{self._host_error()} is no master")

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except RedisError as error:
            outage = outage_of(error)
            if outage is not None and outage.kind in _DOUBTFUL:
                self._locator.doubt(self._node)
                self.mark_for_reconnect()  # type: ignore[no-untyped-call] # the library leaves it untyped
            raise


class LocatedOverTLS(Located, SSLConnection):
    """The same, encrypted."""


class Connections:
    """Makes the clients of one process."""

    def __init__(self, settings: RedisSettings, name: str) -> None:
        self._settings, self._name = settings, name
        self._address = parse_address(settings.connection_string)
        self._asked: dict[Node, Client] = {}
        """Sentinels, or nodes of the cluster: a connection to each is kept, since they are asked twice a second."""
        self._locator = self._make_locator()
        self._made: list[Client] = []

    @property
    def differ(self) -> bool:
        """Whether slots lie on different servers, so that each partition needs clients of its own."""
        return self._address.form == "cluster"

    async def node(self, slot: int) -> Node | None:
        """The server that holds a slot; ``None`` where there is only one. Raises what the library raises."""
        return await self._locator.node(slot) if self._locator else None

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
                pool = ConnectionPool(**{**options, "host": node[0], "port": node[1]})
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
        encrypted = options.get("connection_class") is SSLConnection
        return {
            **options,
            "connection_class": LocatedOverTLS if encrypted else Located,
            "locator": self._locator,
            "slot": slot,
            "masters_only": self._address.form == "sentinel",
        }

    def _options(self, timeout_s: float) -> dict[str, Any]:
        given: dict[str, Any] = {**parse_url(self._address.url)}
        return {
            **given,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": min(timeout_s, self._settings.timeout_ms / 1000),
            **({} if "path" in given else {"socket_keepalive": True}),
            "retry": Retry(NoBackoff(), 0),
            "retry_on_error": [],
            "protocol": 2,  # one shape of answers on every server from 6.2 on
            "client_name": self._name,
        }
