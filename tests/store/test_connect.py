"""Connection strings, and the clients made from them."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import SSLConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import SettingsError
from shared.settings import RedisSettings
from shared.store.address import TLS_OPTIONS, describe_address, parse_address
from shared.store.connect import Client, Connections
from tests.support.server import private_server
from tests.support.waiting import eventually

SECRET = "pa55-w0rd"


@pytest.mark.parametrize(
    ("connection_string", "url", "shown"),
    [
        ("localhost", "redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis", "redis://redis:6379/0", "redis://redis:6379/0"),
        ("10.0.0.7:6380", "redis://10.0.0.7:6380/0", "redis://10.0.0.7:6380/0"),
        ("my-host.example.org:1", "redis://my-host.example.org:1/0", "redis://my-host.example.org:1/0"),
        ("[::1]:6380", "redis://[::1]:6380/0", "redis://[::1]:6380/0"),
        ("[::1]", "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://host", "redis://host", "redis://host:6379"),
        ("redis://host:7000/3", "redis://host:7000/3", "redis://host:7000/3"),
        (f"redis://:{SECRET}@host", f"redis://:{SECRET}@host", "redis://host:6379"),
        (
            f"rediss://me:{SECRET}@host:7/1?ssl_cert_reqs=none",
            f"rediss://me:{SECRET}@host:7/1?ssl_cert_reqs=none",
            "rediss://host:7/1",
        ),
        (f"redis://host?password={SECRET}", f"redis://host?password={SECRET}", "redis://host:6379"),
        (f"unix:///run/redis.sock?password={SECRET}", f"unix:///run/redis.sock?password={SECRET}", "/run/redis.sock"),
    ],
)
def test_every_form_is_understood_and_shown_without_its_secrets(connection_string: str, url: str, shown: str) -> None:
    """The URL is what the client library takes; what people see has no user, no password, no options."""
    assert parse_address(connection_string).url == url
    assert describe_address(connection_string) == shown


@pytest.mark.parametrize(
    "connection_string",
    [
        "", " ", "host:", "host:0", "host:65536", "host:port", "host port", "host/0", "a,b", f"{SECRET}@host", "redis://", "redis://:6379",
        "redis://host:99999", "redis://host:0", f"redis://me:{SECRET}@", f"http://me:{SECRET}@host", f"me:{SECRET}@host:6379", "unix://",
        f"redis://me:{SECRET}@host:port", f"redis://me:{SECRET}@[::1", "host\n",
    ],
)  # fmt: skip
def test_a_bad_string_is_refused_without_telling_it(connection_string: str) -> None:
    """The error names the setting and what was expected; a password in it stays secret."""
    with pytest.raises(SettingsError, match=r"Redis\.ConnectionString.*expected host, host:port, redis://") as caught:
        parse_address(connection_string)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("option", ["socket_timeout=1", "protocol=3", "decode_responses=true", "max_connections=1"])
def test_options_that_the_code_relies_on_cannot_be_overridden(option: str) -> None:
    """Only user, password, database and TLS options may be given in the query of a URL."""
    with pytest.raises(
        SettingsError, match=rf"\?{option.partition('=')[0]}=.*expected only db, username, password, ssl_"
    ) as caught:
        parse_address(f"redis://me:{SECRET}@host?db=1&{option}")

    assert SECRET not in str(caught.value)


def test_every_tls_option_of_the_library_is_known() -> None:
    """No option that the library has is refused, and none is allowed that it has not."""
    parameters = inspect.signature(SSLConnection.__init__).parameters

    assert set(TLS_OPTIONS) == {name for name in parameters if name.startswith("ssl_")}


@pytest.mark.parametrize(
    ("rest", "shown", "expected"),
    [
        ("/x", "***", "a whole number as the database"),
        ("/1/2", "***", "a whole number as the database"),
        ("/-1", "***", "a whole number as the database"),
        (f"/{SECRET}@other", "***", "a whole number as the database"),
        ("?db=x", "?db=***", "a whole number as the database"),
        ("?db=", "?db=***", "a whole number as the database"),
        ("?ssl_foo=1", "?ssl_foo=***", "expected only db, username, password, ssl_"),
        (f"?{SECRET}@other", "***", "expected only db, username, password, ssl_"),
        ("?ssl_cert_reqs=maybe", "?ssl_cert_reqs=***", "expected none, optional or required"),
        ("?ssl_cert_reqs=", "?ssl_cert_reqs=***", "expected none, optional or required"),
        ("?ssl_ca_certs=/nope", "?ssl_ca_certs=***", "a file of certificates that can be read"),
        ("?ssl_ca_certs=/dev/null", "?ssl_ca_certs=***", "a file of certificates that can be read"),
        ("?ssl_ca_path=/nope", "?ssl_ca_path=***", "a folder of certificates"),
        ("?ssl_ca_data=none", "?ssl_ca_data=***", "certificates as text"),
        ("?ssl_certfile=/nope", "?ssl_certfile=***", "a certificate that can be read"),
        ("?ssl_keyfile=/nope", "?ssl_keyfile=***", "the key of ssl_certfile"),
        ("?ssl_min_version=5", "?ssl_min_version=***", "771"),
        ("?ssl_min_version=TLS", "?ssl_min_version=***", "771"),
        ("?ssl_ciphers=rot13", "?ssl_ciphers=***", "names of ciphers"),
        ("?ssl_include_verify_flags=X", "?ssl_include_verify_flags=***", "ssl.VerifyFlags"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_by_name(rest: str, shown: str, expected: str) -> None:
    """What would end in a traceback, another database or an endless wait is refused at start; a password stays secret."""
    with pytest.raises(SettingsError) as caught:
        parse_address(f"rediss://me:{SECRET}@host:6379{rest}")

    assert str(caught.value).startswith(f"Redis.ConnectionString = '{shown}': expected ")
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_tls_options_need_tls() -> None:
    """An option that a connection in plain text would not take is refused, and the way out is named."""
    with pytest.raises(SettingsError, match=r"\?ssl_cert_reqs=.*expected rediss://"):
        parse_address("redis://host?ssl_cert_reqs=none")


@pytest.mark.parametrize(
    "query",
    [
        "ssl_check_hostname=false",
        "ssl_min_version=772",
        "ssl_ciphers=HIGH",
        "ssl_exclude_verify_flags=[VERIFY_X509_STRICT]",
        "db=1",
    ],
)
def test_options_that_can_be_used_are_taken(query: str) -> None:
    """What the library takes is not refused."""
    assert parse_address(f"rediss://host/0?{query}").url == f"rediss://host/0?{query}"


def test_a_port_that_is_none_is_named() -> None:
    """Whoever has mistyped a port reads which."""
    with pytest.raises(SettingsError, match=r"99999 is no port; .* 1 to 65535"):
        parse_address("localhost:99999")


def settings_for(url: str) -> RedisSettings:
    return RedisSettings(connection_string=url, timeout_ms=200)


async def test_a_client_names_itself_and_speaks_the_old_protocol(server_url: str) -> None:
    """``CLIENT LIST`` tells whose connection it is; answers have one shape on every server."""
    for client in (
        Connections(settings_for(server_url), "me-7").commands(),
        Connections(settings_for(server_url), "me-7").waiting(1.0),
    ):
        rows = [row for row in await client.client_list() if row["id"] == str(await client.client_id())]

        assert [(row["name"], row.get("resp", "2")) for row in rows] == [("me-7", "2")]
        await client.aclose()


async def test_host_and_port_are_enough(server_url: str) -> None:
    """``host:port`` reaches the server."""
    url = urlsplit(server_url)
    client = Connections(settings_for(f"{url.hostname}:{url.port}"), "test").commands()

    assert await client.ping() is True

    await client.aclose()


async def test_a_unix_socket_is_reached(tmp_path_factory: pytest.TempPathFactory) -> None:
    """``unix://`` reaches a server of this machine."""
    folder = tmp_path_factory.mktemp("u")
    with private_server(folder, "--unixsocket", str(folder / "s")) as server:
        client = Connections(settings_for(f"unix://{folder}/s?db=3"), "test").commands()
        (row,) = await client.client_list()

        assert (row["db"], row["name"]) == ("3", "test")
        assert server.port
        await client.aclose()


def test_tls_options_reach_the_connection(tmp_path: Path) -> None:
    """``rediss://`` makes an encrypted connection with the options of its query."""
    client = Connections(settings_for(f"rediss://me:{SECRET}@host:7/1?ssl_cert_reqs=none"), "test").commands()

    connection = client.connection_pool.make_connection()

    assert isinstance(connection, SSLConnection)
    assert (connection.host, connection.port, connection.db, connection.username) == ("host", 7, 1, "me")


async def test_a_wrong_password_is_not_in_the_servers_error(server_url: str) -> None:
    """What a refused login raises tells no password."""
    url = urlsplit(server_url)
    client = Connections(settings_for(f"redis://nobody:{SECRET}@{url.hostname}:{url.port}"), "test").commands()

    with pytest.raises(AuthenticationError) as caught:
        await client.ping()

    assert SECRET not in str(caught.value)
    await client.aclose()


async def test_a_command_that_is_not_answered_in_time_is_given_up(server_url: str) -> None:
    """A silent server is noticed after the time-out; a waiting client waits as long as it was made for, and is then answered."""
    hasty = Connections(settings_for(server_url), "test").commands()
    patient = Connections(settings_for(server_url), "test").waiting(0.4)

    with pytest.raises(RedisTimeoutError):
        await hasty.execute_command("BLPOP", "nothing-here", "0.4")
    assert await patient.execute_command("BLPOP", "nothing-here", "0.4") is None

    await hasty.aclose()
    await patient.aclose()


async def test_a_failed_command_is_not_sent_again(server_url: str, redis: Client, prefix: str) -> None:
    """The library repeats nothing by itself: a repeat is for those who know that it is safe."""
    client = Connections(RedisSettings(connection_string=server_url), prefix).commands()
    sent = asyncio.create_task(client.execute_command("BLPOP", "nothing-here", 4))

    async def under_way() -> object:
        return [row["id"] for row in await redis.client_list() if row["name"] == prefix and row["cmd"] == "blpop"]

    (number,) = await eventually(under_way)
    await redis.client_kill_filter(_id=number)

    with pytest.raises(RedisConnectionError):
        await asyncio.wait_for(sent, 2)
    assert await under_way() == []
    await client.aclose()
