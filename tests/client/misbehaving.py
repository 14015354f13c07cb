"""A server before a producer that passes requests on, or does to them what networks and busy services do."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.producer.api import Answer, Api

Fault = str | int | web.Response
"""``cut before`` the producer sees the request, or ``cut after`` it has answered; a status that asks to come back; an answer."""


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Misbehaving:
    """Does each of ``faults`` to one request, in order, and passes on what comes after them."""

    api: Api
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._serve)
        self._server = TestServer(app, host="127.0.0.1")
        await self._server.start_server()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._server.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, str(request.rel_url), dict(request.headers), await request.read())
        self.seen.append(seen)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return web.Response(status=fault, text="not now", headers={"Retry-After": "0"})
        if isinstance(fault, web.Response):
            return fault
        if fault == "cut before":
            return _cut(request)
        answer = await self._passed_on(seen)
        if fault == "cut after":
            return _cut(request)
        kept = {name: value for name, value in answer.headers.items() if name in {"content-type", "etag", "retry-after"}}
        return web.Response(status=answer.status, body=answer.content, headers=kept)

    async def _passed_on(self, seen: Seen) -> Answer:
        names = ("Content-Type", "Idempotency-Key", "If-Match", "Durability", "Authorization")
        headers = {name: seen.headers[name] for name in names if name in seen.headers}
        body = {"data": seen.body} if seen.body else {}
        return await self.api.call(seen.method, seen.path, headers=headers, **body)


def _cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
