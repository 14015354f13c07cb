"""Connections to targets that may be reached, and to no others: what a name is resolved to is judged, and once more each address
when its socket is made, so a name that says another address a moment later gains nothing by it.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from aiohttp import TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.settings import WebhooksSettings
from shared.targets import Targets

KEEP_ALIVE_S = 15.0
MOST_CAUSES = 10


class TargetRefused(OSError):
    """The address may not be reached."""


class GuardedResolver(AbstractResolver):
    """Another resolver, of which only permitted addresses are heard."""

    def __init__(self, targets: Targets, resolver: AbstractResolver | None = None) -> None:
        self._targets = targets
        self._resolver = resolver or ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Raises ``TargetRefused`` where the name has no other addresses."""
        found = await self._resolver.resolve(host, port, family)
        permitted = [one for one in found if self._targets.permits(ip_address(one["host"].partition("%")[0]))]
        if found and not permitted:
            addresses = ", ".join(sorted({one["host"] for one in found}))
            raise TargetRefused(f"{host} is {addresses}: no public address (Webhooks.AllowedNetworks opens others)")
        return permitted

    async def close(self) -> None:
        await self._resolver.close()


def guarded_connector(targets: Targets, settings: WebhooksSettings, resolver: AbstractResolver | None = None) -> TCPConnector:
    """Its session must not trust the environment: a proxy would make the connections instead. ``resolver``: else the system's."""

    def make_socket(address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, place = address
        if not targets.permits(ip_address(str(place[0]).partition("%")[0])):
            raise TargetRefused(f"{place[0]} is no public address (Webhooks.AllowedNetworks opens others)")
        return socket.socket(family, kind, protocol)

    return TCPConnector(
        limit=settings.concurrency,
        keepalive_timeout=KEEP_ALIVE_S,
        resolver=GuardedResolver(targets, resolver),
        socket_factory=make_socket,
    )


def refusal_in(error: BaseException) -> str | None:
    """Why the target was refused, where that is behind an error of the client; else ``None``."""
    cause: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if cause is None:
            return None
        if isinstance(cause, TargetRefused):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return None
