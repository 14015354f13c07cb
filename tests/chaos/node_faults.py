"""Faults of servers that others take over from: fail-overs under sentinels and in a cluster, a lost node, a slot that moves.

Each returns when the service can go on. That all servers follow again, so that the next fault finds somebody who can take
over, is waited for after that.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from tests.chaos.backing import Clustered, Watched
from tests.chaos.fault_types import NOBODY, Hit, Kind, holds
from tests.chaos.stage import Stage
from tests.support.cluster import Cluster
from tests.support.nodes import Node
from tests.support.sentinel import MASTER, Sentinels
from tests.support.waiting import eventually

TAKEN_OVER_WITHIN_S = 30.0
MISSED_S = 1.2
"""Longer than this a node that is out is taken for dead by the others."""


def _sentinels(stage: Stage) -> Sentinels:
    assert isinstance(stage.backing, Watched)
    return stage.backing.group


def _cluster(stage: Stage) -> Cluster:
    assert isinstance(stage.backing, Clustered)
    return stage.backing.cluster


async def _taken_over(group: Sentinels, old: Node) -> None:
    """Until every sentinel names another master."""
    await _until(lambda: all(one is not old for one in group.named()), TAKEN_OVER_WITHIN_S, "another master")


async def _until(condition: Callable[[], object], within_s: float, what: str) -> None:
    await eventually(lambda: asyncio.to_thread(holds, condition), within_s=within_s, what=what)


async def _master_killed(stage: Stage, _choice: float, _amount: float) -> Hit:
    group = _sentinels(stage)
    old = group.master()
    old.kill()
    await _taken_over(group, old)
    await asyncio.to_thread(_revive, old)
    return NOBODY


async def _master_frozen(stage: Stage, _choice: float, _amount: float) -> Hit:
    """Until another is the master. When it wakes up it takes itself for the master until a sentinel tells it otherwise."""
    group = _sentinels(stage)
    old = group.master()
    old.send(signal.SIGSTOP)
    await _taken_over(group, old)
    old.send(signal.SIGCONT)
    return NOBODY


async def _master_replaced(stage: Stage, _choice: float, _amount: float) -> Hit:
    """An operator asks for it; the old one is well, and becomes a replica."""
    group = _sentinels(stage)
    old = group.master()
    await asyncio.to_thread(group.sentinels[0].command, "SENTINEL", "FAILOVER", MASTER)
    await _taken_over(group, old)
    return NOBODY


async def _sentinel_killed(stage: Stage, choice: float, amount: float) -> Hit:
    group = _sentinels(stage)
    await _away(group.sentinels[int(choice * len(group.sentinels))], amount)
    return NOBODY


async def _replica_killed(stage: Stage, choice: float, amount: float) -> Hit:
    group = _sentinels(stage)
    replicas = [server for server in group.servers if server is not group.master()]
    await _away(replicas[int(choice * len(replicas))], amount)
    return NOBODY


async def _node_restarted(stage: Stage, choice: float, amount: float) -> Hit:
    """A master is killed and is back before anybody takes over."""
    cluster = _cluster(stage)
    masters = cluster.holders()
    await _away(masters[int(choice * len(masters))], amount / 4)
    return NOBODY


async def _node_lost(stage: Stage, choice: float, _: float) -> Hit:
    """A master is killed, and comes back when its replica has taken over."""
    cluster = _cluster(stage)
    masters = cluster.holders()
    old = masters[int(choice * len(masters))]
    old.kill()
    await _until(lambda: old not in cluster.holders(), TAKEN_OVER_WITHIN_S, "its replica takes over")
    await asyncio.to_thread(_revive, old)
    return NOBODY


async def _slot_moved(stage: Stage, choice: float, amount: float) -> Hit:
    """A partition's slot goes to another master, key by key where ``amount`` is small, at once where it is large."""
    cluster = _cluster(stage)
    slot = stage.slots[int(choice * len(stage.slots))]
    source = cluster.holder(slot)
    target = next(node for node in cluster.holders() if node is not source)
    if amount < 0.5 or not await asyncio.to_thread(cluster.migrate, slot, target):
        await asyncio.to_thread(_move_by_key, cluster, slot, target)
    await _until(lambda: cluster.holder(slot) is target, TAKEN_OVER_WITHIN_S, "the slot has moved")
    return NOBODY


def _move_by_key(cluster: Cluster, slot: int, target: Node) -> None:
    cluster.begin_by_key(slot, target)
    cluster.move_keys(slot, target, limit=2)
    cluster.end_by_key(slot, target)


async def _away(node: Node, amount: float) -> None:
    node.kill()
    await asyncio.sleep(0.1 + MISSED_S * amount)
    await asyncio.to_thread(_revive, node)


def _revive(node: Node) -> None:
    node.start()
    node.answers()


SENTINEL: dict[str, Kind] = {
    "master killed": Kind("failed_over", _master_killed),
    "master frozen": Kind("failed_over", _master_frozen),
    "master replaced": Kind("failed_over", _master_replaced),
    "sentinel killed": Kind("none", _sentinel_killed),
    "replica killed": Kind("none", _replica_killed),
}
CLUSTER: dict[str, Kind] = {
    "node restarted": Kind("store_died", _node_restarted),
    "node lost": Kind("failed_over", _node_lost),
    "slot moved": Kind("store_refused", _slot_moved),
}
