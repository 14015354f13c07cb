"""Connections to Redis from a connection string. Knows addresses, time-outs and TLS; no key and no script.

Forms: ``host``, ``host:port``, ``redis://…``, ``rediss://…``, ``unix://…``. ``parse_address`` is the place where the forms
for Sentinel and Cluster plug in: they differ in how a partition's client is made, and in nothing else.

The client library's own retries are off: a command is repeated only where the caller knows that a repeat is safe.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.errors import SettingsError
from shared.settings import RedisSettings

_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_DATABASE = re.compile(r"\d{1,9}")
EXPECTED = (
    "expected host, host:port, redis://[user:password@]host[:port][/db] or rediss:// with the same, or unix:///path; "
    "a port is 1 to 65535"
)
TLS_OPTIONS = {
    "ssl_certfile": "a certificate that can be read, with the key in it or in ssl_keyfile, and its password in ssl_password",
    "ssl_keyfile": "the key of ssl_certfile, that can be read, and its password in ssl_password",
    "ssl_password": "the password of ssl_keyfile",
    "ssl_cert_reqs": "none, optional or required",
    "ssl_ca_certs": "a file of certificates that can be read",
    "ssl_ca_path": "a folder of certificates",
    "ssl_ca_data": "certificates as text (PEM)",
    "ssl_check_hostname": "true or false",
    "ssl_min_version": "771 (TLS 1.2) or 772 (TLS 1.3)",
    "ssl_ciphers": "names of ciphers as OpenSSL knows them",
    "ssl_include_verify_flags": "names of ssl.VerifyFlags, with commas between",
    "ssl_exclude_verify_flags": "names of ssl.VerifyFlags, with commas between",
}
"""The options of the client library's TLS connection, and what each may be."""
_CERTIFICATE = ("ssl_certfile", "ssl_keyfile", "ssl_password")
"""They make sense together only."""
ALLOWED_OPTIONS = ("db", "username", "password", *TLS_OPTIONS)
Client = Any
"""``redis.asyncio.Redis``. The library types an answer as the union of all that options could make of it; the store knows."""


def parse_address(connection_string: str) -> str:
    """The URL of a connection string. Raises ``SettingsError``; a password is never part of its text."""
    host = _HOST.fullmatch(connection_string)
    if host and (host["port"] is None or 0 < int(host["port"]) < 65536):
        return f"redis://{host['host']}:{host['port'] or 6379}/0"
    if host:
        raise _refused("***", f"{host['port']} is no port; {EXPECTED}")
    try:
        url = urlsplit(connection_string)
        local = url.scheme == "unix" and url.path
        usable = bool(local or (url.scheme in {"redis", "rediss"} and url.hostname and url.port != 0)) and not url.fragment
    except ValueError:
        usable = False
    if not usable:
        raise _refused("***", EXPECTED)
    database = "" if local else url.path.removeprefix("/")
    if database and not _DATABASE.fullmatch(database):
        raise _refused("***", "expected a whole number as the database: redis://host:port/0")
    _check_options(url)
    return connection_string


def _check_options(url: SplitResult) -> None:
    """Query parameters override what this code relies on (time-outs, protocol, encoding), so only some may be given.

    The others are tried: what the library would stumble over at the first connection, or wait out, is refused here.
    """
    options = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    for name, value in options.items():
        shown = "***" if "@" in url.query else f"?{name}=***"  # a password that is not quoted may hold a question mark
        if name not in ALLOWED_OPTIONS:
            raise _refused(shown, f"expected only {', '.join(ALLOWED_OPTIONS)} as query parameters")
        if name in TLS_OPTIONS and url.scheme != "rediss":
            raise _refused(shown, "expected rediss:// where an ssl_ option is given")
        if name == "db" and not _DATABASE.fullmatch(value):
            raise _refused(shown, "expected a whole number as the database")
        if name in TLS_OPTIONS and not _is_usable(name, options):
            raise _refused(shown, f"expected {TLS_OPTIONS[name]}")


def _is_usable(name: str, options: dict[str, str]) -> bool:
    """Whether a TLS connection can be made with that option; those of the certificate are tried together."""
    tried = {one: options[one] for one in (_CERTIFICATE if name in _CERTIFICATE else (name,)) if options.get(one)}
    if name not in tried or (name == "ssl_ca_path" and not Path(options[name]).is_dir()):
        return False
    try:
        given: dict[str, Any] = {**parse_url(f"rediss://host?{urlencode(tried)}")}
        del given["connection_class"]  # what the pool makes of the rest
        SSLConnection(**{"ssl_password": "", **given}).ssl_context.get()  # with no password OpenSSL would ask the terminal
    except (OSError, ValueError, TypeError, RedisError):
        return False
    return True


def _refused(shown: str, expected: str) -> SettingsError:
    return SettingsError("Redis.ConnectionString", shown, expected)


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
