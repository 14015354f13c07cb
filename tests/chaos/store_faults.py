"""Faults of a server that is there and refuses, forgets or holds up; and of one server that is killed or frozen."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.chaos.backing import OneServer
from tests.chaos.fault_types import LEASE_S, NOBODY, Hit, Kind
from tests.chaos.stage import PREFIX, Stage


def _master(stage: Stage, choice: float) -> Redis:
    masters = stage.backing.masters()
    return masters[int(choice * len(masters))]


def _only(stage: Stage) -> OneServer:
    assert isinstance(stage.backing, OneServer)
    return stage.backing


async def _redis_killed(stage: Stage, _: float, amount: float) -> Hit:
    server = _only(stage).server
    port = server.port
    server.kill()
    await asyncio.sleep(2 * amount)
    server.port = port
    await asyncio.to_thread(server.start)
    await _master(stage, 0).connection_pool.disconnect()
    return NOBODY


async def _redis_frozen(stage: Stage, _: float, amount: float) -> Hit:
    server = _only(stage).server
    server.send(signal.SIGSTOP)
    await asyncio.sleep(LEASE_S * (0.1 + 2.9 * amount))
    server.send(signal.SIGCONT)
    return NOBODY


async def _clients_killed(stage: Stage, choice: float, amount: float) -> Hit:
    for kind in ("normal", "pubsub") if amount < 0.5 else ("pubsub",):
        await _master(stage, choice).execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")  # type: ignore[no-untyped-call] # the library leaves it untyped
    return NOBODY


async def _clients_paused(stage: Stage, choice: float, amount: float) -> Hit:
    pause_s = 0.2 + 2 * amount
    await _master(stage, choice).client_pause(int(pause_s * 1000), all=choice < 0.5)
    await asyncio.sleep(pause_s)
    return NOBODY


async def _scripts_flushed(stage: Stage, choice: float, amount: float) -> Hit:
    for _ in range(1 + int(amount * 50)):
        await _master(stage, choice).script_flush()
        await asyncio.sleep(0.005)
    return NOBODY


async def _groups_destroyed(stage: Stage, choice: float, _: float) -> Hit:
    master = _master(stage, choice)
    async for key in master.scan_iter(f"{PREFIX}:*:stream:*", count=1000):
        for group in await master.xinfo_groups(key):
            await master.xgroup_destroy(key, group["name"])
    return NOBODY


async def _memory_full(stage: Stage, choice: float, amount: float) -> Hit:
    master = _master(stage, choice)
    await master.config_set("maxmemory", 1)
    await asyncio.sleep(0.2 + 2 * amount)
    await master.config_set("maxmemory", 0)
    return NOBODY


async def _read_only(stage: Stage, _: float, amount: float) -> Hit:
    """A replica of nobody: it keeps what it has and refuses every write."""
    master = _master(stage, 0)
    await master.replicaof("127.0.0.1", "1")
    await asyncio.sleep(0.2 + 2 * amount)
    await master.replicaof("NO", "ONE")
    return NOBODY


async def _misconf(stage: Stage, _: float, amount: float) -> Hit:
    """A snapshot cannot be written (a folder has its name), and the server is told to refuse writes then."""
    master = _master(stage, 0)
    (directory,) = (await master.config_get("dir")).values()
    blocker = Path(str(directory)) / "dump.rdb"
    blocker.unlink(missing_ok=True)
    blocker.mkdir()
    await master.config_set("save", "3600 1000000")
    await master.bgsave()
    await asyncio.sleep(0.3 + 2 * amount)
    blocker.rmdir()
    await master.config_set("save", "")
    await master.bgsave()
    return NOBODY


_BUSY = """
local function now() local time = redis.call('TIME') return time[1] * 1000 + time[2] / 1000 end
local start = now()
while now() - start < tonumber(ARGV[1]) do end
"""


async def _busy_script(stage: Stage, choice: float, amount: float) -> Hit:
    """A stranger's script holds the server, which says so after a tenth of a second. A sentinel may end it before its time."""
    master = _master(stage, choice)
    await master.config_set("lua-time-limit", 100)
    try:
        await master.eval(_BUSY, 0, str(200 + 1500 * amount))
    except ResponseError as error:
        if "SCRIPT KILL" not in str(error):
            raise
    return NOBODY


STORE: dict[str, Kind] = {
    "clients killed": Kind("store_refused", _clients_killed),
    "clients paused": Kind("store_refused", _clients_paused),
    "scripts flushed": Kind("none", _scripts_flushed),
    "groups destroyed": Kind("group_destroyed", _groups_destroyed),
    "memory full": Kind("store_refused", _memory_full),
    "busy script": Kind("store_refused", _busy_script),
}
ONE_SERVER: dict[str, Kind] = {
    "Redis killed": Kind("store_died", _redis_killed),
    "Redis frozen": Kind("store_refused", _redis_frozen),
    "read only": Kind("store_refused", _read_only),
    "MISCONF": Kind("store_refused", _misconf),
}
