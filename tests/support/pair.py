"""A server with a replica of its own: where every ``Durability`` can be reached, until a test takes the replica away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from cli.server import BundledServer
from tests.support.server import private_server
from tests.support.waiting import eventually


@asynccontextmanager
async def private_pair(folder: Path, *options: str) -> AsyncIterator[tuple[BundledServer, BundledServer]]:
    """A master, started with these options, and its replica, which is in step."""
    with private_server(folder / "master", "--repl-diskless-sync-delay", "0", *options) as master:
        with private_server(folder / "replica", "--replicaof", "127.0.0.1", str(master.port)) as replica:
            async with Redis.from_url(master.url) as client:

                async def in_step() -> bool:
                    await client.set("mark", "", px=1)
                    return bool(await client.wait(1, 100))

                await eventually(in_step, what="the replica confirms a write")
            yield master, replica
