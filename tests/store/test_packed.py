"""Connections that pack in C: the same bytes as the library's own, and closed when a write cannot be finished."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Connection, Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store.packed import Packed
from tests.support.server import private_server


@pytest.mark.parametrize(
    "words",
    [
        ("PING",),
        ("SCRIPT LOAD", "return 1"),
        (b"CLIENT SETNAME", "me"),
        ("SET", "key", b"\x00\r\n\xff", "PX", 1500),
        ("ZADD", "key", 1790000000000.0004882812, "m\u00e4\u20ac\U0001f600"),
        ("EVALSHA", "0" * 40, 2, "a", "b", "", b"", -1, 0.5, 2**53),
        ("DEL", *[f"1795547058636-{number}" for number in range(1000)]),
        ("SET", "large", b"x" * 100_000),
    ],
)
def test_a_command_is_packed_as_the_library_packs_it(words: tuple[Any, ...]) -> None:
    """Nothing that a server sees tells the two apart."""
    assert b"".join(Packed().pack_command(*words)) == b"".join(Connection().pack_command(*words))


@asynccontextmanager
async def to_the_deaf(socket_timeout: float) -> AsyncIterator[Packed]:
    """A connection to a server that reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        options: dict[str, Any] = {"driver_info": None, "protocol": 2}
        connection = Packed(host="127.0.0.1", port=server.getsockname()[1], socket_timeout=socket_timeout, **options)
        await connection.connect()  # type: ignore[no-untyped-call] # the library leaves it untyped
        yield connection
        await connection.disconnect(nowait=True)


async def test_a_write_that_is_not_taken_in_time_closes_the_connection() -> None:
    """A server that reads nothing is a time-out, and what was half written is not followed by anything."""
    async with to_the_deaf(socket_timeout=0.2) as connection:
        with pytest.raises(RedisTimeoutError):
            await connection.send_packed_command([b"x" * 200_000_000])

        assert not connection.is_connected


async def test_a_cancelled_write_closes_the_connection() -> None:
    """Whoever gets the connection next starts anew."""
    async with to_the_deaf(socket_timeout=30) as connection:
        writing = asyncio.create_task(connection.send_packed_command([b"x" * 200_000_000]))
        await asyncio.sleep(0)

        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

        assert not connection.is_connected


async def test_a_pipeline_of_large_and_small_commands_arrives(tmp_path: Path) -> None:
    """What one flush carries is cut up and put together again."""
    with private_server(tmp_path) as server:
        client = Redis.from_url(server.url, connection_class=Packed)
        pipeline = client.pipeline(transaction=False)
        for size in (1, 100_000, 10, 7_000, 0):
            pipeline.echo(b"y" * size)

        assert [len(answer) for answer in await pipeline.execute()] == [1, 100_000, 10, 7_000, 0]
        await client.aclose()
