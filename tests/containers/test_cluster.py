"""The service of ``compose.cluster.yaml``: partitions on three masters, each with a replica that takes its place."""

from __future__ import annotations

import pytest

from shared.ids import parse_id
from tests.containers.api import call, schedule
from tests.containers.compose import Compose
from tests.containers.outage import all_delivered, live_through_the_end_of, schedule_safely
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

NODES = ("redis", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6")
PARTITIONS = 12
LATER_MS = 3_600_000


def masters(compose: Compose, asked: str = "redis") -> dict[str, set[str]]:
    """Master to slots, as a node has it."""
    rows = [row.split() for row in compose.redis("cluster", "nodes", service=asked).splitlines()]
    return {row[1].split(",")[1]: set(row[8:]) for row in rows if "master" in row[2] and row[8:]}


def is_whole(compose: Compose) -> bool:
    """Whether all nodes agree on the masters, and all others follow one."""
    seen = [masters(compose, node) for node in NODES]
    roles = [compose.role(node) for node in NODES if node not in seen[0]]
    return seen == [seen[0]] * len(NODES) and all(role[0] == "slave" and role[3] == "connected" for role in roles)


def partition(message_id: str) -> int:
    parsed = parse_id(message_id)
    assert parsed is not None
    return parsed.partition


async def test_a_second_up_changes_nothing(cluster_compose: Compose) -> None:
    """Every node is healthy and keeps its role; no port but the producer's is open."""
    running = {service: cluster_compose.containers(service) for service in (*NODES, "dispatcher", "consumers")}
    assert {one["Health"] for found in running.values() for one in found} == {"healthy"}
    assert cluster_compose.published((*running, "producer")) == {"producer"}
    before = masters(cluster_compose)
    assert len(before) == 3

    cluster_compose.up()

    assert masters(cluster_compose) == before
    assert is_whole(cluster_compose)


async def test_a_master_that_is_killed_is_replaced_by_its_replica(cluster_compose: Compose) -> None:
    """Its partitions are out for a while; then every partition's messages are delivered, and the old master follows."""
    url, before = cluster_compose.url, masters(cluster_compose)
    ids = await schedule_safely(url, 60)
    while {partition(one) for one in ids} != set(range(PARTITIONS)):  # each is chosen at random
        ids += await schedule_safely(url, 10)
    old = max(before)

    await live_through_the_end_of(cluster_compose, old)

    assert await all_delivered(url, ids)
    after = masters(cluster_compose)
    assert set(before) - set(after) == {old}
    cluster_compose.up()
    await eventually(lambda: is_whole(cluster_compose), within_s=30, what="the old master follows")
    assert masters(cluster_compose) == after


async def test_roles_outlive_containers(cluster_compose: Compose) -> None:
    """Stopped, and made anew from their volumes with other addresses, the nodes find each other by name; what waited is there."""
    before = masters(cluster_compose)
    waiting = [await schedule(cluster_compose.url, topic="echo", body="later", delay=LATER_MS) for _ in range(20)]

    assert set(cluster_compose.stop(NODES).values()) == {0}
    cluster_compose("down")
    cluster_compose.up()

    assert masters(cluster_compose) == before
    await eventually(lambda: is_whole(cluster_compose), within_s=30, what="all are found")
    url = cluster_compose.url
    assert {(await call("GET", f"{url}/messages/{one}"))[1]["status"] for one in waiting} == {"scheduled"}
