"""The small HTTP server of a process that serves no API: its health, for people and for supervisors."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from shared.errors import SettingsError
from shared.logs import logger

Health = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
"""Gives whether the process is ready, and what to tell people."""


class Probe:
    """Serves ``/health``, ``/health/live`` and ``/health/ready``."""

    def __init__(self, host: str, port: int, *, explicit: bool, key: str, health: Health) -> None:
        self._host, self._wanted, self._explicit, self._key = host, port, explicit, key
        self._health = health
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listens. A default port that is taken falls back to a free one; a given one is refused with ``SettingsError``."""
        app = web.Application()
        app.router.add_get("/health", self._people)
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        self.port = await listen(self._runner, self._host, self._wanted, explicit=self._explicit, key=self._key)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _people(self, _: web.Request) -> web.Response:
        ready, details = await self._health()
        return web.json_response({"status": "ok" if ready else "unready", **details})

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        ready, details = await self._health()
        return web.json_response(
            {"status": "ok" if ready else "unready", "reasons": details.get("reasons", [])}, status=200 if ready else 503
        )


async def listen(runner: web.AppRunner, host: str, port: int, *, explicit: bool, key: str) -> int:
    """Binds; returns the port. Where a default port is taken, a free one."""
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError as error:
        if explicit or port == 0:
            way_out = f"; set {key.replace('.', '__')} to another" if error.errno in {errno.EADDRINUSE, errno.EACCES} else ""
            raise SettingsError(key, port, f"expected a free port: {error.strerror or error}{way_out}") from None
        logger.info("{} {} is taken; taking a free one", key, port)
        site = web.TCPSite(runner, host, 0)
        await site.start()
    bound: int = runner.addresses[-1][1]
    logger.info("listening on http://{}:{}", host, bound)
    return bound
