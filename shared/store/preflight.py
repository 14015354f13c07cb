"""Looks at the server before work begins, and says plainly what is unsafe about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from redis.exceptions import ResponseError

from shared.errors import Outage
from shared.logs import logger
from shared.store.connect import Client
from shared.store.outage import outage_of, outages

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True)
class Preflight:
    server: str
    """``redis 8.0.2`` or ``valkey 9.1.2``."""
    warnings: tuple[str, ...]


async def inspect(client: Client) -> Preflight:
    """What server this is and what is unsafe about it. Raises ``Outage``."""
    with outages():
        info = await client.info("server")
        product = "valkey" if info.get("server_name") == "valkey" else "redis"
        version = str(info.get("valkey_version") or info["redis_version"])
        warnings = list(_version_warnings(product, version))
        policy = await _config(client, "maxmemory-policy")
        if policy is None:
            warnings.append("CONFIG GET is not allowed: whether keys can be evicted and the AOF is on is unknown")
        elif policy != "noeviction":
            warnings.append(f"maxmemory-policy is {policy}: Redis may drop messages when memory is full; set noeviction")
        if policy is not None and await _config(client, "appendonly") != "yes":
            warnings.append("appendonly is off: messages accepted since the last snapshot are lost when Redis restarts")
        elif policy is not None and await _config(client, "appendfsync") == "no":
            warnings.append("appendfsync is 'no': accepted messages are lost when the machine fails")
    return Preflight(f"{product} {version}", tuple(warnings))


async def report(client: Client) -> None:
    """Logs what ``inspect`` finds. An outage meanwhile is left to the work that follows."""
    try:
        found = await inspect(client)
    except Outage:
        return
    logger.info("server: {}", found.server)
    for warning in found.warnings:
        logger.warning("unsafe: {}", warning)


def _version_warnings(product: str, version: str) -> list[str]:
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    oldest = OLDEST[product]
    if numbers >= oldest:
        return []
    return [f"{product} {version} is older than {oldest[0]}.{oldest[1]}, the oldest that is supported"]


async def _config(client: Client, name: str) -> str | None:
    try:
        found = await client.config_get(name)
    except ResponseError as error:
        outage = outage_of(error)
        if outage is not None and outage.kind != "noauth":
            raise
        return None
    return next((str(value.decode() if isinstance(value, bytes) else value) for value in found.values()), None)
