"""Connections to Redis from a connection string. Knows addresses, time-outs and TLS; no key and no script.

Forms: ``host``, ``host:port``, ``redis://…``, ``rediss://…``, ``unix://…``. ``parse_address`` is the place where the forms
for Sentinel and Cluster plug in: they differ in how a partition's client is made, and in nothing else.

The client library's own retries are off: a command is repeated only where the caller knows that a repeat is safe.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.errors import SettingsError
from shared.settings import RedisSettings

_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
EXPECTED = "expected host, host:port, redis://[user:password@]host[:port][/db] or rediss:// with the same, or unix:///path"
ALLOWED_OPTIONS = ("db", "username", "password")
Client = Any
"""``redis.asyncio.Redis``. The library types an answer as the union of all that options could make of it; the store knows."""


def parse_address(connection_string: str) -> str:
    """The URL of a connection string. Raises ``SettingsError``; a password is never part of its text."""
    host = _HOST.fullmatch(connection_string)
    if host and (host["port"] is None or 0 < int(host["port"]) < 65536):
        return f"redis://{host['host']}:{host['port'] or 6379}/0"
    try:
        url = urlsplit(connection_string)
        local = url.scheme == "unix" and url.path
        usable = bool(local or (url.scheme in {"redis", "rediss"} and url.hostname and url.port != 0))
    except ValueError:
        usable = False
    if usable:
        _check_options(connection_string)
    else:
        raise SettingsError("Redis.ConnectionString", "***", EXPECTED)
    return connection_string


def _check_options(url: str) -> None:
    """Query parameters override what this code relies on (time-outs, protocol, encoding), so only some may be given."""
    for name in parse_qs(urlsplit(url).query, keep_blank_values=True):
        if name not in ALLOWED_OPTIONS and not name.startswith("ssl_"):
            raise SettingsError(
                "Redis.ConnectionString",
                f"?{name}=***",
                f"expected only {', '.join(ALLOWED_OPTIONS)} and ssl_… as query parameters",
            )


def describe_address(connection_string: str) -> str:
    """The address without its secrets, for people."""
    url = urlsplit(parse_address(connection_string))
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return url.path if url.scheme == "unix" else f"{url.scheme}://{host}:{url.port or 6379}{url.path}"


def command_client(settings: RedisSettings, name: str) -> Client:
    """A client for commands that answer at once, over a pool of connections."""
    pool = BlockingConnectionPool.from_url(
        parse_address(settings.connection_string),
        max_connections=settings.max_connections,
        timeout=settings.timeout_ms / 1000,
        **_options(settings, name, settings.timeout_ms / 1000),
    )
    return Redis.from_pool(pool)


def waiting_client(settings: RedisSettings, name: str, wait_s: float, readers: int = 1) -> Client:
    """A client for ``readers`` that wait up to ``wait_s``, apart from the pool of commands, which they would use up.

    Each wait is bounded, since a connection can die without a word.
    """
    pool = ConnectionPool.from_url(
        parse_address(settings.connection_string),
        max_connections=readers + 1,
        **_options(settings, name, wait_s + settings.timeout_ms / 1000),
    )
    return Redis.from_pool(pool)


def _options(settings: RedisSettings, name: str, timeout_s: float) -> dict[str, Any]:
    over_network = not settings.connection_string.startswith("unix:")
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": settings.timeout_ms / 1000,
        **({"socket_keepalive": True} if over_network else {}),
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,  # one shape of answers on every server from 6.2 on
        "client_name": name,
    }
