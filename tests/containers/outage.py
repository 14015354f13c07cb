"""The end of a Redis as those who use the service see it: what they scheduled before, what they are told meanwhile, and after."""

from __future__ import annotations

import time

from tests.containers.api import call, ended
from tests.containers.compose import Compose
from tests.support.waiting import eventually

ACCEPTS_WITHIN_S = 30.0
READY_WITHIN_S = 60.0


async def schedule_safely(url: str, count: int) -> list[str]:
    """Messages that a replica has as well, due one after the other from three seconds on; their ids."""
    ids = []
    for number in range(count):
        message = {"topic": "echo", "body": f"message {number}", "delay": 3 + number / 10}
        status, accepted = await call("POST", f"{url}/messages", message, Durability="replica")
        assert (status, accepted.get("durability")) == (202, "replica"), accepted
        ids.append(str(accepted["id"]))
    return ids


async def live_through_the_end_of(compose: Compose, service: str) -> None:
    """Kills the container; returns when the producer has said that it is not ready, has accepted again and is ready."""
    url = compose.url
    killed_s = time.monotonic()
    compose.kill(compose.containers(service)[0]["Name"])

    async def readiness() -> int:
        return (await call("GET", f"{url}/health/ready"))[0]

    async def is_accepted() -> bool:
        return (await call("POST", f"{url}/messages", {"topic": "echo", "body": "after the end"}))[0] == 202

    async def is_unready() -> bool:
        return await readiness() == 503

    async def is_ready() -> bool:
        return await readiness() == 200

    await eventually(is_unready, what="the producer is not ready")
    left_s = ACCEPTS_WITHIN_S - (time.monotonic() - killed_s)
    await eventually(is_accepted, within_s=left_s, what="a message is accepted")
    await eventually(is_ready, within_s=READY_WITHIN_S, what="the producer is ready")


async def all_delivered(url: str, ids: list[str]) -> bool:
    """Whether all of them have been, at the end."""
    return {(await ended(url, one, within_s=60))["status"] for one in ids} == {"delivered"}
