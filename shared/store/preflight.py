"""Looks at the server before work begins, and says plainly what is unsafe about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from redis.exceptions import ResponseError

from shared.store.connect import Client
from shared.store.outage import outage_of, outages

WAITAOF_SINCE = (7, 2)
OLDEST = {"redis": (6, 2), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True)
class Preflight:
    server: str
    """``redis 8.0.2`` or ``valkey 9.1.2``."""
    warnings: tuple[str, ...]
    can_wait: bool = False
    """Whether ``WAITAOF`` can be asked."""
    always: bool = False
    """Whether an answer means that the write is on the disk."""
    no_fsync: str = ""
    """Why nobody can tell whether a write is on the disk; empty where it can be told."""


async def inspect(client: Client, replicas: int = 0) -> Preflight:
    """What server this is and what is unsafe about it, where writes have to reach so many replicas. Raises ``Outage``."""
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
        written = None if policy is None else await _config(client, "appendonly")
        when = None if written != "yes" else await _config(client, "appendfsync")
        pauses = when is not None and await _config(client, "no-appendfsync-on-rewrite") == "yes"
        if written not in {None, "yes"}:
            warnings.append("appendonly is off: messages accepted since the last snapshot are lost when Redis restarts")
        elif when == "no":
            warnings.append("appendfsync is 'no': accepted messages are lost when the machine fails")
        if pauses:
            warnings.append("no-appendfsync-on-rewrite is on: what is accepted stays off the disk while Redis saves")
        if replicas and (connected := (await client.info("replication")).get("connected_slaves", 0)) < replicas:
            warnings.append(f"{connected} replicas are connected and Durability asks for {replicas}: what asks for it is refused")
    can_wait = written in {None, "yes"} and when != "no" and _numbers(version) >= WAITAOF_SINCE
    always = when == "always" and not pauses
    no_fsync = "" if can_wait or always else _why_no_fsync(product, version, written, when)
    return Preflight(f"{product} {version}", tuple(warnings), can_wait, always, no_fsync)


def _why_no_fsync(product: str, version: str, written: str | None, when: str | None) -> str:
    if written not in {None, "yes"}:
        return "appendonly is off"
    if when == "no":  # the system writes when it likes, and Redis never learns of it
        return "appendfsync is 'no'"
    return f"{product} {version} is too old to tell, and appendfsync is not known to be 'always'"


def _version_warnings(product: str, version: str) -> list[str]:
    numbers = _numbers(version)
    oldest = OLDEST[product]
    if numbers >= oldest:
        return []
    return [f"{product} {version} is older than {oldest[0]}.{oldest[1]}, the oldest that is supported"]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


async def _config(client: Client, name: str) -> str | None:
    try:
        found = await client.config_get(name)
    except ResponseError as error:
        outage = outage_of(error)
        if outage is not None and outage.kind != "noauth":
            raise
        return None
    return next((str(value.decode() if isinstance(value, bytes) else value) for value in found.values()), None)
