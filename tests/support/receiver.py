"""An HTTP server on loopback that webhooks are sent to: notes each request and answers as the test says, path by path.

It runs in a thread of its own, so that a client that blocks the test's loop does not hold up what it waits for.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from tests.support.waiting import eventually

STARTED_WITHIN_S = 10.0
SHUTDOWN_S = 0.1
STEPS = 10
"""Of the loop, in which what is being accepted is there."""


@dataclass(frozen=True)
class Answer:
    """What a request is told."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    held: bool = False
    """Only after ``release``, which need not come: then the request is never answered."""


@dataclass(frozen=True)
class Arrival:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    body: bytes
    at_monotonic_s: float
    at_ms: int
    url: str
    """As it was asked for, from the scheme to the query."""

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """``url`` names a path of it; ``answers`` says what that path tells; ``wait_for`` waits for requests."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        """In the order in which they came. Only added to, by one thread, so it may be read by another."""
        self.most_at_once = 0
        self._at_once = 0
        self._scripts: dict[str, list[Answer]] = {}
        self._released: dict[str, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._listens, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self._port = 0

    def start(self) -> None:
        self._thread.start()
        assert self._listens.wait(STARTED_WITHIN_S), "the receiver does not listen"

    def stop(self) -> None:
        """Ends all requests, also those that wait for an answer."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(STARTED_WITHIN_S)
        self._loop.close()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def answers(self, path: str, *answers: Answer) -> str:
        """Requests to that path are told these in turn, and the last for ever. Returns the path's URL."""
        self._scripts[path] = list(answers)
        return self.url(path)

    def release(self, path: str) -> None:
        """Answers the requests to a path that are held, and from now on at once."""
        self._loop.call_soon_threadsafe(lambda: self._release_of(path).set())

    def at(self, path: str) -> list[Arrival]:
        return [one for one in self.arrivals if one.path == path]

    async def wait_for(self, count: int, path: str, within_s: float = 10.0) -> list[Arrival]:
        """The requests to that path, once there are so many."""
        await eventually(lambda: len(self.at(path)) >= count, within_s=within_s, what=f"{count} requests to {path}")
        return self.at(path)

    async def first(self, path: str) -> Arrival:
        return (await self.wait_for(1, path))[0]

    async def _run(self) -> None:
        server, loop = web.Server(self._answer), asyncio.get_running_loop()
        listening = await loop.create_server(server, "127.0.0.1", 0)
        self._port = listening.sockets[0].getsockname()[1]
        self._listens.set()
        await self._over.wait()
        # A connection that is being accepted while its server is closed is never closed itself (CPython's issue 109564).
        for one in listening.sockets:
            loop.remove_reader(one.fileno())
        for _ in range(STEPS):
            await asyncio.sleep(0)
        listening.close()
        await server.shutdown(SHUTDOWN_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        answer = self._next(request.path)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.arrivals.append(_arrival(request, body))
        try:
            if answer.held:
                await self._held(request.path)
            await asyncio.sleep(answer.delay_s)
        finally:
            self._at_once -= 1
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _held(self, path: str) -> None:
        """Until the path is released or all is over."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._release_of(path), self._over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _next(self, path: str) -> Answer:
        script = self._scripts.get(path)
        if not script:
            return Answer()
        return script.pop(0) if len(script) > 1 else script[0]

    def _release_of(self, path: str) -> asyncio.Event:
        return self._released.setdefault(path, asyncio.Event())


def _arrival(request: web.BaseRequest, body: bytes) -> Arrival:
    return Arrival(
        request.method,
        request.path,
        dict(request.query),
        CIMultiDict(request.headers),
        body,
        time.monotonic(),
        time.time_ns() // 1_000_000,
        str(request.url),
    )


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
