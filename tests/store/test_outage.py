"""What counts as an outage, and of which kind."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser

from shared.errors import Outage
from shared.settings import RedisSettings
from shared.store.connect import Connections
from shared.store.outage import KINDS, outage_of, outages

ANSWERS = {
    "LOADING Redis is loading the dataset in memory": "loading",
    "READONLY You can't write against a read only replica.": "readonly",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": "misconf",
    "OOM command not allowed when used memory > 'maxmemory'.": "oom",
    "NOREPLICAS Not enough good replicas to write.": "noreplicas",
    "CLUSTERDOWN The cluster is down": "clusterdown",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "masterdown",
    "TRYAGAIN Multiple keys request during rehashing of slot": "tryagain",
    "MOVED 3999 127.0.0.1:6381": "moved",
    "ASK 3999 127.0.0.1:6381": "moved",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.": "busy",
    "NOAUTH Authentication required.": "noauth",
    "WRONGPASS invalid username-password pair or user is disabled.": "noauth",
    "ERR invalid password": "noauth",
    "NOPERM this user has no permissions to run the 'evalsha' command": "noauth",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)": "unblocked",
    "NOSCRIPT No matching script. Please use EVAL.": "noscript",
    "ACL failure in script: User mss has no permissions to run the 'xack' command script: on @user_script:1.": "noauth",
    "ERR The user executing the script can't run this command or subcommand script: on @user_script:1.": "noauth",
    "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments": "noauth",
    "ERR The user executing the script can't publish to the channel mentioned in the command": "noauth",
    "ERR max number of clients reached": "clients",
    "ERR DB index is out of range": "database",
    "ERR invalid DB index": "database",
    "ERR SELECT is not allowed in cluster mode": "database",
}
"""What servers answer, by the kind of outage it is."""

_IN_SCRIPT = "ERR Error running script (call to f_2f1c): @user_script:41: @user_script: 41: -{}"
IN_SCRIPTS = {
    _IN_SCRIPT.format("OOM command not allowed when used memory > 'maxmemory'. "): "oom",
    _IN_SCRIPT.format("READONLY You can't write against a read only replica. "): "readonly",
    _IN_SCRIPT.format("MISCONF Errors writing to the AOF file: No space left on device "): "misconf",
    _IN_SCRIPT.format("NOREPLICAS Not enough good replicas to write. "): "noreplicas",
    _IN_SCRIPT.format("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'. "): "masterdown",
    "OOM command not allowed when used memory > 'maxmemory'. script: 2f1c, on @user_script:41.": "oom",
}
"""The same inside a script: Redis 6.2's longer text, and that of later servers."""

OURS = [
    "ERR wrong number of arguments for 'zadd' command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR Error running script (call to f_2f1c): @user_script:41: user_script:41: attempt to index a nil value",
    "BUSYGROUP Consumer Group name already exists",
    "NOGROUP No such key 'x' or consumer group 'y'",
    "ERR unknown command 'ASKED'",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "EXECABORT Transaction discarded because of previous errors.",
    "",
]


def parsed(answer: str) -> Exception:
    """The error that the client library makes of a server's answer."""
    error: Exception = BaseParser.parse_error(answer)  # type: ignore[no-untyped-call] # the library leaves it untyped
    return error


@pytest.mark.parametrize(("answer", "kind"), [*ANSWERS.items(), *IN_SCRIPTS.items()])
def test_a_refusal_is_an_outage_of_its_kind(answer: str, kind: str) -> None:
    """However the library types a server's answer, its kind is right, and its words are kept."""
    outage = outage_of(parsed(answer))

    assert outage is not None
    assert outage.kind == kind
    assert answer.split(" ", 1)[1] in outage.detail or answer in outage.detail


@pytest.mark.parametrize("answer", OURS)
def test_any_other_answer_is_an_error_of_ours(answer: str) -> None:
    """What waiting does not heal is no outage, and goes through unchanged."""
    error = parsed(answer)
    assert outage_of(error) is None

    with pytest.raises(exceptions.ResponseError) as caught, outages():
        raise error

    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.ConnectionError("Connection closed by server."), "connection"),
        (exceptions.MaxConnectionsError("Too many connections"), "connection"),
        (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'"), "protocol"),
        (exceptions.TimeoutError("Timeout reading from socket"), "timeout"),
        (ConnectionRefusedError(111, "Connection refused"), "connection"),
        (OSError(113, "No route to host"), "connection"),
        (TimeoutError(), "timeout"),
    ],
)
def test_a_lost_connection_is_an_outage(error: Exception, kind: str) -> None:
    """Nobody to talk to is a state to wait out, and its text is never empty."""
    outage = outage_of(error)

    assert outage is not None
    assert outage.kind == kind
    assert outage.detail


@pytest.mark.parametrize("error", [ValueError("no"), exceptions.DataError("no"), asyncio.CancelledError()])
def test_a_programmers_error_is_none(error: BaseException) -> None:
    """Errors that are not Redis's go through as they are."""
    assert outage_of(error) is None

    with pytest.raises(type(error)), outages():
        raise error


def test_the_cause_stays_with_the_outage() -> None:
    """Whoever debugs sees what the library said."""
    cause = exceptions.ConnectionError("gone")

    with pytest.raises(Outage) as caught, outages():
        raise cause

    assert caught.value.__cause__ is cause


def test_every_kind_of_the_table_is_tested() -> None:
    """A new refusal comes with the answer that servers give."""
    assert set(KINDS.values()) <= set(ANSWERS.values())


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    """A refused connection, as it really comes."""
    client = Connections(RedisSettings(connection_string="127.0.0.1:1"), "test").commands()

    with pytest.raises(Outage) as caught, outages():
        await client.ping()

    assert caught.value.kind == "connection"
    await client.aclose()


async def refused_by(connection_string: str) -> Outage:
    client = Connections(RedisSettings(connection_string=connection_string), "test").commands()
    with pytest.raises(Outage) as caught, outages():
        await client.ping()
    await client.aclose()
    return caught.value


async def test_a_server_that_is_no_redis_is_an_outage_that_names_the_setting() -> None:
    """A wrong port with another program behind it crashes nobody; the text says where to look."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await reader.read()  # until the client has hung up
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as stranger:
        outage = await refused_by(f"127.0.0.1:{stranger.sockets[0].getsockname()[1]}")

    assert outage.kind == "protocol"
    assert "no Redis: look at host and port in Redis.ConnectionString" in str(outage)


async def test_a_wrong_password_is_an_outage_that_names_the_setting(server_url: str) -> None:
    """Waiting does not mend it, so the text says what to look at, and tells no password."""
    address = urlsplit(server_url).netloc.rpartition("@")[2]

    outage = await refused_by(f"redis://nobody:pa55-w0rd@{address}")

    assert outage.kind == "noauth"
    assert "the password in Redis.ConnectionString" in str(outage)
    assert "pa55-w0rd" not in str(outage)


async def test_a_database_that_the_server_has_not_is_an_outage_that_names_the_setting(server_url: str) -> None:
    """``/999999``: the text says where the number stands."""
    outage = await refused_by(urlsplit(server_url)._replace(path="/999999", query="").geturl())

    assert outage.kind == "database"
    assert "the database in Redis.ConnectionString" in str(outage)
