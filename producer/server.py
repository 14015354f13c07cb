"""The application on its connections, and how many of those may be open.

When there are too many, the one that has been quiet longest is closed to make room.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from producer.app import make_app
from producer.connection import MAX_HEADER_BYTES, MAX_URL_BYTES, Connection
from producer.middleware import expecting
from shared.logs import logger
from shared.settings import ProducerSettings, Settings

KEEP_ALIVE_S = 75.0
"""Longer than the idle time of the usual load balancers (60 s), which else would send into a connection just closed."""
LINGERING_S = 2.0
"""How long the rest of a refused body is read, for its sender to read the answer."""
SHUTDOWN_S = 5.0
OTHER_FILES = 200
"""What a process has open besides its callers' connections."""


class Runner(web.AppRunner):
    """The producer's application on connections that are watched."""

    def __init__(self, settings: Settings, **more: Any) -> None:
        self._limits = settings.producer
        super().__init__(
            make_app(settings),
            access_log=None,
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGERING_S,
            max_line_size=MAX_URL_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            auto_decompress=False,  # packed bodies are refused, so none is ever unpacked
            **more,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Connections(made, self._limits, **made._kwargs)  # noqa: SLF001 - aiohttp has no other way to give a protocol


class Connections(web.Server):
    """All open connections, those that were quiet longest first."""

    def __init__(self, made: web.Server, limits: ProducerSettings, **options: Any) -> None:
        super().__init__(expecting(made.request_handler), request_factory=made.request_factory, **options)
        self._read_timeout_s = limits.read_timeout_ms / 1000
        self._most = files_for(limits.max_connections)

    def __call__(self) -> RequestHandler:
        return Connection(self, self._read_timeout_s, self._heard_from, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._most:
            quiet = next((one for one in self._connections if isinstance(one, Connection) and one.is_quiet), handler)
            quiet.force_close()

    def _heard_from(self, handler: RequestHandler) -> None:
        if handler in self._connections:
            self._connections[handler] = self._connections.pop(handler)


def files_for(connections: int) -> int:
    """How many connections can be open: as many as asked for, or as the system lets this process have files.

    The soft limit is raised first: it is 1,024 on many systems, for the sake of programs that use ``select``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    logger.warning("at most {} connections: the system allows {} open files (ulimit -n)", soft - OTHER_FILES, soft)
    return max(1, soft - OTHER_FILES)
