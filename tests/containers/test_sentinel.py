"""The service of ``compose.sentinel.yaml``: a master that is killed is replaced, and its successor stays it."""

from __future__ import annotations

import pytest

from tests.containers.api import call, schedule
from tests.containers.compose import Compose
from tests.containers.outage import all_delivered, live_through_the_end_of, schedule_safely
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

SERVERS = ("redis", "redis-2", "redis-3")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
LATER_MS = 3_600_000


def master(compose: Compose, sentinel: str = "sentinel-1") -> str:
    """The service whose container is the master, as a sentinel has it."""
    return compose.redis("-p", "26379", "sentinel", "get-master-addr-by-name", "mymaster", service=sentinel).split()[0]


def replicas(compose: Compose) -> set[str]:
    """Those that follow the master and are in step."""
    roles = {server: compose.role(server) for server in SERVERS}
    return {
        server for server, role in roles.items() if role[0] == "slave" and role[1] == master(compose) and role[3] == "connected"
    }


def test_all_are_healthy_and_only_the_producer_is_published(sentinel_compose: Compose) -> None:
    """Three servers, three sentinels, and nothing that somebody on another machine reaches."""
    running = {service: sentinel_compose.containers(service) for service in (*SERVERS, *SENTINELS, "dispatcher", "consumers")}

    assert {one["Health"] for found in running.values() for one in found} == {"healthy"}
    assert sentinel_compose.published((*running, "producer")) == {"producer"}
    assert sentinel_compose.url.startswith("http://127.0.0.1:")


async def test_a_master_that_is_killed_is_replaced(sentinel_compose: Compose) -> None:
    """The producer is unready and then accepts again; what was safe on a replica is delivered; the old master follows."""
    old = master(sentinel_compose)
    ids = await schedule_safely(sentinel_compose.url, 60)

    await live_through_the_end_of(sentinel_compose, old)

    assert master(sentinel_compose) != old
    assert await all_delivered(sentinel_compose.url, ids)
    sentinel_compose.up()
    others = {server for server in SERVERS if server != master(sentinel_compose)}
    await eventually(lambda: replicas(sentinel_compose) == others, within_s=30, what="the old master follows")
    assert old in others


async def test_roles_outlive_containers(sentinel_compose: Compose) -> None:
    """Stopped, and made anew with other addresses, all agree on who was master; what waited is there."""
    before = master(sentinel_compose)
    waiting = await schedule(sentinel_compose.url, topic="echo", body="later", delay=LATER_MS)

    assert set(sentinel_compose.stop((*SERVERS, *SENTINELS)).values()) == {0}
    sentinel_compose("down")
    sentinel_compose.up()

    assert {master(sentinel_compose, sentinel) for sentinel in SENTINELS} == {before}
    await eventually(lambda: len(replicas(sentinel_compose)) == 2, within_s=30, what="the others follow")
    assert (await call("GET", f"{sentinel_compose.url}/messages/{waiting}"))[1]["status"] == "scheduled"
