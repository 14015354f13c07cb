"""How much is worked on at once. What is beyond is refused at once, not queued: a queue in memory is where a process dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from producer.auth import is_open
from producer.middleware import RETRY_AFTER_S, Handler
from producer.refusal import Refusal
from shared.errors import InvalidField
from shared.settings import ProducerSettings

_HELD_BYTES = web.RequestKey("held_bytes", int)


class Load:
    """What is in flight in this process."""

    def __init__(self, limits: ProducerSettings) -> None:
        self.limits = limits
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What goes on for long has a bound of its own, and takes no place of a request meanwhile."""
        self.requests -= 1
        try:
            yield
        finally:
            self.requests += 1


LOAD = web.AppKey("load", Load)


@web.middleware
async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises ``Refusal`` (503). Health is always answered: a process that is busy is not ill."""
    if is_open(request):
        return await handler(request)
    load = request.app[LOAD]
    if load.requests >= load.limits.max_in_flight:
        raise _too_much(f"{load.limits.max_in_flight} requests are being worked on (Producer.MaxInFlight)")
    load.requests += 1
    request[_HELD_BYTES] = 0
    try:
        return await handler(request)
    finally:
        load.requests -= 1
        load.bytes -= request[_HELD_BYTES]


def _too_much(detail: str) -> Refusal:
    return Refusal(503, f"{detail}; nothing was stored by this request", {"Retry-After": str(RETRY_AFTER_S)})


async def read_body(request: web.Request) -> bytes:
    """The request's body, within the limits on its size, on what all bodies hold together, and on time.

    Raises ``Refusal`` (408, 415, 503), ``InvalidField`` (400), ``HTTPRequestEntityTooLarge``.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":  # a few bytes can stand for any number of them
        raise Refusal(
            415,
            f"expected a body as it is; got one packed as {encoding[:40]!r}",
            {"Accept-Encoding": "identity"},
            "Content-Encoding",
        )
    coding = request.headers.get("Transfer-Encoding", "chunked")
    if coding.lower() != "chunked":  # aiohttp would take the packed bytes for the body
        raise InvalidField("Transfer-Encoding", f"expected chunked alone; got {coding[:40]!r}", status=400)
    load = request.app[LOAD]
    declared = request.content_length
    _hold(request, load, declared or 0, declared or 0)
    if declared is not None and request.content.is_eof():  # all of it is here: there is nothing to wait for
        return request.content.read_nowait()
    try:
        async with asyncio.timeout(load.limits.read_timeout_ms / 1000):
            return await _read(request, load, counted=declared is not None)
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {load.limits.read_timeout_ms} ms (Producer.ReadTimeoutMs)") from None
    except (web.RequestPayloadError, ConnectionError) as error:  # cut off, or badly cut into chunks
        raise InvalidField("", f"the request could not be read to its end: {error}", status=400) from None


async def _read(request: web.Request, load: Load, *, counted: bool) -> bytes:
    chunks, size = list[bytes](), 0
    while chunk := await request.content.readany():
        size += len(chunk)
        _hold(request, load, 0 if counted else len(chunk), size)
        chunks.append(chunk)
    return b"".join(chunks)


def _hold(request: web.Request, load: Load, more_bytes: int, size: int) -> None:
    """Makes room for that many bytes more of a body that has ``size`` by now; given back when the request ends."""
    if size > load.limits.max_request_bytes:
        raise web.HTTPRequestEntityTooLarge(load.limits.max_request_bytes)
    if load.bytes + more_bytes > load.limits.max_in_flight_bytes:
        raise _too_much(f"{load.bytes} bytes of requests are being worked on (Producer.MaxInFlightBytes)")
    load.bytes += more_bytes
    request[_HELD_BYTES] += more_bytes
