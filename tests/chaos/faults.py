"""The table of faults: what each breaks, how it is mended, and what that means for whoever judges.

Each fault is a function of the stage, a choice (which process) and an amount (how long). It returns when what it broke is
mended, with the names of the processes that it hit; none where it hit the store, and so all of them.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from redis.exceptions import RedisError

from tests.chaos.history import Effect
from tests.chaos.stage import LEASE_MS, PREFIX, Member, Stage

LEASE_S = LEASE_MS / 1000
Hit = tuple[str, ...]
Break = Callable[[Stage, float, float], Awaitable[Hit]]
NOBODY: Hit = ()


class Kind(NamedTuple):
    effect: Effect
    run: Break


def _pick(stage: Stage, service: str, choice: float) -> Member:
    idle = [member for member in stage.of(service) if not member.busy] or stage.of(service)
    return idle[int(choice * len(idle))]


def _killed(service: str) -> Break:
    async def run(stage: Stage, choice: float, _: float) -> Hit:
        member = _pick(stage, service, choice)
        member.expected_end = True
        member.process.kill()
        await stage.replace(member)
        return (member.name,)

    return run


def _stopped(service: str) -> Break:
    """Told to end, and replaced at once, as in a rolling update."""

    async def run(stage: Stage, choice: float, _: float) -> Hit:
        member = _pick(stage, service, choice)
        member.expected_end = True
        member.process.send(signal.SIGTERM)
        await stage.replace(member)
        return (member.name,)

    return run


def _frozen(service: str) -> Break:
    """For a tenth of a lease to three leases: both what a lease outlasts and what it does not."""

    async def run(stage: Stage, choice: float, amount: float) -> Hit:
        member = _pick(stage, service, choice)
        member.busy = True
        member.process.send(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S * (0.1 + 2.9 * amount))
        member.process.send(signal.SIGCONT)
        member.busy = False
        return (member.name,)

    return run


def _any(stage: Stage, choice: float) -> Member:
    members = [member for member in stage.members if not member.expected_end and not member.busy]
    return members[int(choice * len(members))]


async def _link_cut(stage: Stage, choice: float, _: float) -> Hit:
    member = _any(stage, choice)
    member.link.cut()
    return (member.name,)


async def _link_reset(stage: Stage, choice: float, _: float) -> Hit:
    """The next message is cut in half. Waits until it was: a link that carries nothing has nothing to cut."""
    member = _any(stage, choice)
    passed_bytes = member.link.passed_bytes
    member.link.reset_halfway()
    for _ in range(200):
        await asyncio.sleep(0.01)
        if member.link.passed_bytes > passed_bytes:
            break
    return (member.name,)


async def _link_delayed(stage: Stage, choice: float, amount: float) -> Hit:
    member = _any(stage, choice)
    member.link.delay_s = 0.02 + 0.4 * amount
    await asyncio.sleep(1 + amount)
    member.link.delay_s = 0.0
    return (member.name,)


async def _link_black_hole(stage: Stage, choice: float, amount: float) -> Hit:
    member = _any(stage, choice)
    member.link.hold()
    await asyncio.sleep(LEASE_S * (0.3 + 3 * amount))
    member.link.release()
    return (member.name,)


async def _clock_stepped(stage: Stage, choice: float, amount: float) -> Hit:
    """By up to five hours, forwards or backwards, for two seconds; then back."""
    member = _any(stage, choice)
    member.step_clock((amount - 0.5) * 36_000)
    await asyncio.sleep(2)
    member.step_clock(0.0)
    return (member.name,)


async def _redis_killed(stage: Stage, _: float, amount: float) -> Hit:
    port = stage.server.port
    stage.server.kill()
    await asyncio.sleep(2 * amount)
    stage.server.port = port
    await asyncio.to_thread(stage.server.start)
    await stage.redis.connection_pool.disconnect()
    return NOBODY


async def _redis_frozen(stage: Stage, _: float, amount: float) -> Hit:
    stage.server.send(signal.SIGSTOP)
    await asyncio.sleep(LEASE_S * (0.1 + 2.9 * amount))
    stage.server.send(signal.SIGCONT)
    return NOBODY


async def _clients_killed(stage: Stage, _choice: float, amount: float) -> Hit:
    for kind in ("normal", "pubsub") if amount < 0.5 else ("pubsub",):
        await stage.redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")  # type: ignore[no-untyped-call] # the library leaves it untyped
    return NOBODY


async def _clients_paused(stage: Stage, choice: float, amount: float) -> Hit:
    pause_s = 0.2 + 2 * amount
    await stage.redis.client_pause(int(pause_s * 1000), all=choice < 0.5)
    await asyncio.sleep(pause_s)
    return NOBODY


async def _scripts_flushed(stage: Stage, _choice: float, amount: float) -> Hit:
    for _ in range(1 + int(amount * 50)):
        await stage.redis.script_flush()
        await asyncio.sleep(0.005)
    return NOBODY


async def _groups_destroyed(stage: Stage, _choice: float, _amount: float) -> Hit:
    async for key in stage.redis.scan_iter(f"{PREFIX}:*:stream:*", count=1000):
        for group in await stage.redis.xinfo_groups(key):
            await stage.redis.xgroup_destroy(key, group["name"])
    return NOBODY


async def _memory_full(stage: Stage, _: float, amount: float) -> Hit:
    await stage.redis.config_set("maxmemory", 1)
    await asyncio.sleep(0.2 + 2 * amount)
    await stage.redis.config_set("maxmemory", 0)
    return NOBODY


async def _read_only(stage: Stage, _: float, amount: float) -> Hit:
    """A replica of nobody: it keeps what it has and refuses every write."""
    await stage.redis.replicaof("127.0.0.1", "1")
    await asyncio.sleep(0.2 + 2 * amount)
    await stage.redis.replicaof("NO", "ONE")
    return NOBODY


async def _misconf(stage: Stage, _: float, amount: float) -> Hit:
    """A snapshot cannot be written (a folder has its name), and the server is told to refuse writes then."""
    (directory,) = (await stage.redis.config_get("dir")).values()
    blocker = Path(str(directory)) / "dump.rdb"
    blocker.unlink(missing_ok=True)
    blocker.mkdir()
    await stage.redis.config_set("save", "3600 1000000")
    await stage.redis.bgsave()
    await asyncio.sleep(0.3 + 2 * amount)
    blocker.rmdir()
    await stage.redis.config_set("save", "")
    await stage.redis.bgsave()
    return NOBODY


_BUSY = """
local function now() local time = redis.call('TIME') return time[1] * 1000 + time[2] / 1000 end
local start = now()
while now() - start < tonumber(ARGV[1]) do end
"""


async def _busy_script(stage: Stage, _: float, amount: float) -> Hit:
    """A stranger's script holds the server, which says so after a tenth of a second."""
    await stage.redis.config_set("lua-time-limit", 100)
    await stage.redis.eval(_BUSY, 0, str(200 + 1500 * amount))
    return NOBODY


KINDS: dict[str, Kind] = {
    "worker killed": Kind("died", _killed("consumers")),
    "worker frozen": Kind("frozen", _frozen("consumers")),
    "worker stopped": Kind("none", _stopped("consumers")),
    "dispatcher killed": Kind("died", _killed("dispatcher")),
    "dispatcher frozen": Kind("frozen", _frozen("dispatcher")),
    "dispatcher stopped": Kind("none", _stopped("dispatcher")),
    "producer killed": Kind("died", _killed("producer")),
    "producer frozen": Kind("frozen", _frozen("producer")),
    "producer stopped": Kind("none", _stopped("producer")),
    "link cut": Kind("cut", _link_cut),
    "link reset halfway": Kind("cut", _link_reset),
    "link delayed": Kind("cut", _link_delayed),
    "link black hole": Kind("cut", _link_black_hole),
    "clock stepped": Kind("stepped", _clock_stepped),
    "Redis killed": Kind("store_died", _redis_killed),
    "Redis frozen": Kind("store_refused", _redis_frozen),
    "clients killed": Kind("store_refused", _clients_killed),
    "clients paused": Kind("store_refused", _clients_paused),
    "scripts flushed": Kind("none", _scripts_flushed),
    "groups destroyed": Kind("group_destroyed", _groups_destroyed),
    "memory full": Kind("store_refused", _memory_full),
    "read only": Kind("store_refused", _read_only),
    "MISCONF": Kind("store_refused", _misconf),
    "busy script": Kind("store_refused", _busy_script),
}
OF_STORE = frozenset({"store_died", "store_refused", "group_destroyed"})
"""Effects of faults that need the server to answer: never two of them at once."""


async def mend(stage: Stage) -> None:
    """Undoes what a fault that failed half-way may have left broken."""
    for member in stage.members:
        if member.process.process.poll() is None:
            member.process.send(signal.SIGCONT)
        member.link.release()
        member.link.delay_s = 0.0
        member.step_clock(0.0)
        member.busy = False
    if not stage.server.is_running():
        await asyncio.to_thread(stage.server.start)
    stage.server.send(signal.SIGCONT)
    try:
        await stage.redis.connection_pool.disconnect()
        await stage.redis.config_set("maxmemory", 0)
        await stage.redis.replicaof("NO", "ONE")
        await stage.redis.config_set("save", "")
    except RedisError as error:
        print(f"while mending: {error}")
