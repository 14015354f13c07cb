"""The table of faults: by what the service of a run stands on, each kind with what it means for whoever judges."""

from __future__ import annotations

import asyncio
import signal

from redis.exceptions import RedisError

from tests.chaos.backing import Clustered, OneServer, Watched
from tests.chaos.fault_types import Kind
from tests.chaos.node_faults import CLUSTER, SENTINEL
from tests.chaos.process_faults import LINKS, PROCESSES
from tests.chaos.stage import Stage
from tests.chaos.store_faults import ONE_SERVER, STORE
from tests.support.nodes import Node

_SILENCE: dict[str, Kind] = {
    name: kind._replace(effect="failed_over") for name, kind in STORE.items() if name in {"busy script", "clients paused"}
}
"""A server that answers nobody for a while may be taken for dead, and replaced."""
KINDS: dict[str, dict[str, Kind]] = {
    "server": {**PROCESSES, **LINKS, **STORE, **ONE_SERVER},
    "sentinel": {**PROCESSES, **STORE, **_SILENCE, **SENTINEL},
    "cluster": {**PROCESSES, **STORE, **_SILENCE, **CLUSTER},
}
"""By form of the store. A node tells its own address, so no link can stand before it."""
ONE_AT_A_TIME = frozenset({*STORE, *ONE_SERVER, *SENTINEL, *CLUSTER})
"""Faults that need the store to answer, or break it: never two of them at once."""


async def mend(stage: Stage) -> None:
    """Undoes what a fault that failed half-way may have left broken."""
    for member in stage.members:
        if member.process.process.poll() is None:
            member.process.send(signal.SIGCONT)
        member.link.release()
        member.link.delay_s = 0.0
        member.step_clock(0.0)
        member.busy = False
    backing = stage.backing
    if isinstance(backing, OneServer):
        if not backing.server.is_running():
            await asyncio.to_thread(backing.server.start)
        backing.server.send(signal.SIGCONT)
    for node in _nodes(stage):
        if not node.running:
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(node.answers)
        node.send(signal.SIGCONT)
    try:
        for master in backing.masters():
            await master.connection_pool.disconnect()
            await master.config_set("maxmemory", 0)
            if isinstance(backing, OneServer):
                await master.replicaof("NO", "ONE")
                await master.config_set("save", "")
    except RedisError as error:
        print(f"while mending: {error}")


def _nodes(stage: Stage) -> list[Node]:
    if isinstance(stage.backing, Watched):
        return [*stage.backing.group.servers, *stage.backing.group.sentinels]
    return stage.backing.cluster.nodes if isinstance(stage.backing, Clustered) else []
