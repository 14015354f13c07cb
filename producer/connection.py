"""A connection before it is a request: what is broken, too slow or too large in its head. aiohttp does the rest.

A request's head has to arrive within ``Producer.ReadTimeoutMs``; a connection may be quiet for longer between two requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web_protocol import RequestHandler

from producer.refusal import title_of
from producer.schemas import Problem
from shared.logs import logger

MAX_URL_BYTES = 8_190
MAX_HEADER_BYTES = 16_384
"""Name and value of one header."""
MAX_HEAD_BYTES = 65_536
"""A whole head that has not come to its end."""
_encode = msgspec.json.Encoder().encode

HeardFrom = Callable[[RequestHandler], None]


class Connection(RequestHandler):
    """One connection. ``heard_from`` is told of it whenever something comes."""

    __slots__ = ("_head_bytes", "_head_timer", "_heard_from", "_read_timeout_s")

    def __init__(self, server: web.Server, read_timeout_s: float, heard_from: HeardFrom, **options: Any) -> None:
        super().__init__(server, **options)
        self._read_timeout_s = read_timeout_s
        self._heard_from = heard_from
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether no request is being worked on: nothing has come, or a part of a head."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if data:  # aiohttp calls it without, to look again at what it has
            self._heard_from(self)
        if not self.is_quiet:
            self._head_arrived()
        elif data:
            self._await_head()
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"expected at most {MAX_HEAD_BYTES} bytes of headers")

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self._loop.call_later(self._read_timeout_s, self._too_slow)

    def _head_arrived(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self.is_quiet:
            self._refuse(408, f"no request arrived within {self._read_timeout_s:g} s (Producer.ReadTimeoutMs)")

    def _refuse(self, status: int, detail: str) -> None:
        """Answers without a request, and closes."""
        if self.transport is not None:
            body = _problem(status, detail)
            lines = (
                f"HTTP/1.1 {status} {title_of(status)}",
                "Content-Type: application/problem+json",
                f"Content-Length: {len(body)}",
                "Connection: close",
            )
            self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What never became a request: no HTTP, or over a limit of aiohttp's parser. Not logged: strangers would fill the log."""
        del request
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.opt(exception=exc).error("a request failed outside its handler")
        status, detail = _told(status, exc, message)
        response = web.Response(body=_problem(status, detail), status=status, content_type="application/problem+json")
        response.force_close()
        return response


def _told(status: int, error: BaseException | None, message: str | None) -> tuple[int, str]:
    if isinstance(error, LineTooLong):
        in_url = error.args[1] == MAX_URL_BYTES
        most = MAX_URL_BYTES if in_url else MAX_HEADER_BYTES
        return (
            (414, f"expected a URL of at most {most} bytes")
            if in_url
            else (431, f"expected headers of at most {most} bytes each")
        )
    if isinstance(error, BadHttpMessage) and "Too many headers" in error.message:
        return 431, "expected fewer headers"
    return status, f"this is no request in HTTP/1.1: {(message or 'it failed')[:200]}"


def _problem(status: int, detail: str) -> bytes:
    return _encode(Problem(type="about:blank", title=title_of(status), status=status, detail=detail))
