"""The forms of ``Redis.ConnectionString``: what each may hold, checked at start. Opens no connection.

``host``, ``host:port``, ``redis://…``, ``rediss://…`` and ``unix://…`` name a server. ``redis+sentinel://…`` names sentinels
and the master they watch, ``redis+cluster://…`` nodes of a cluster; ``rediss+…`` are the same over TLS. Who lies where is
asked of those (``shared.store.locate``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlencode, urlsplit

from redis.asyncio import SSLConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from shared.errors import SettingsError

Node = tuple[str, int]
"""Host and port."""
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_DATABASE = re.compile(r"\d{1,9}")
_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<form>sentinel|cluster)://(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^@/?#]+)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_MASTER = re.compile(r"/(?P<name>[A-Za-z0-9._-]{1,200})(?:/(?P<database>\d{0,9}))?")
_PORTS = {"sentinel": 26379, "cluster": 6379}
EXPECTED = (
    "expected host, host:port, redis://[user:password@]host[:port][/db] or rediss:// with the same, unix:///path, "
    "redis+sentinel://[user:password@]host:port,host:port/master-name[/db], redis+cluster://[user:password@]host:port,host:port "
    "(or rediss+... for TLS); a port is 1 to 65535"
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
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class Address:
    url: str = field(repr=False)
    """One server's URL, as the client library takes it. Of several: their user, options and database, with the first as host."""
    shown: str
    """For people: without user, password and options."""
    form: Literal["server", "sentinel", "cluster"] = "server"
    seeds: tuple[Node, ...] = ()
    """Who can be asked: sentinels, or nodes of the cluster."""
    master: str = ""
    """The name under which the sentinels know the master."""
    sentinel_user: tuple[str | None, str | None] = field(default=(None, None), repr=False)
    """User and password for the sentinels themselves."""


def parse_address(connection_string: str) -> Address:
    """Raises ``SettingsError``; a password is never part of its text."""
    host = _HOST.fullmatch(connection_string)
    if host and _is_port(host["port"] or "1"):
        return _one_server(f"redis://{host['host']}:{host['port'] or 6379}/0")
    if host:
        raise _refused("***", f"{host['port']} is no port; {EXPECTED}")
    several = _SEVERAL.fullmatch(connection_string)
    return _several(several) if several else _one_server(connection_string)


def describe_address(connection_string: str) -> str:
    """The address without its secrets, for people."""
    return parse_address(connection_string).shown


def _one_server(connection_string: str) -> Address:
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
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return Address(connection_string, url.path if local else f"{url.scheme}://{host}:{url.port or 6379}{url.path}")


def _several(parts: re.Match[str]) -> Address:
    form, path = parts["form"], parts["path"] or ""
    hosts = [_HOST.fullmatch(host) for host in parts["hosts"].split(",")]
    seeds = [(host["host"].strip("[]"), host["port"] or str(_PORTS[form])) for host in hosts if host]
    if len(seeds) < len(hosts) or not all(_is_port(port) for _, port in seeds):
        raise _refused("***", EXPECTED)
    options = parse_qsl(parts["query"] or "", keep_blank_values=True)
    given = dict(options)
    master = _MASTER.fullmatch(path)
    if form == "sentinel" and not master:
        raise _refused("***", "expected the master's name behind the sentinels, and at most a database: host:26379/mymaster/0")
    if form == "cluster" and (path.strip("/") or "db" in given):
        raise _refused("***", "expected no database: a cluster has one only")
    of_server = [(name, value) for name, value in options if form == "cluster" or name not in SENTINEL_OPTIONS]
    user = "" if parts["user"] is None else f"{parts['user']}@"
    first = seeds[0][0]
    one = _one_server(
        f"{parts['scheme']}://{user}{f'[{first}]' if ':' in first else first}:{seeds[0][1]}"
        f"/{(master and master['database']) or ''}{'?' if of_server else ''}{urlencode(of_server)}"
    )
    return Address(
        one.url,
        f"{parts['scheme']}+{form}://{parts['hosts']}{path}",
        "sentinel" if form == "sentinel" else "cluster",
        tuple((host, int(port)) for host, port in seeds),
        master["name"] if master else "",
        (given.get("sentinel_username"), given.get("sentinel_password")),
    )


def _is_port(text: str) -> bool:
    return 0 < int(text) < 65536


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
