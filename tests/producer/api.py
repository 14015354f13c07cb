"""The producer over real HTTP, and every answer held against its own description."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.test_utils import BaseTestServer
from redis.asyncio import Redis

from producer.server import Runner
from shared.settings import Settings
from tests.producer.description import Description

JSON = "application/json"
NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"
REQUEST_ID = "test-request-1"
"""Sent with every request that names no other."""
_RETAINED = ("topics", "counts")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Api:
    """A running producer and a session to it."""

    url: str
    http: aiohttp.ClientSession
    description: Description = field(init=False)

    async def learn(self) -> None:
        async with self.http.get(f"{self.url}/openapi.json") as answer:
            self.description = Description(await answer.json())

    async def call(self, method: str, path: str, content: object = None, **options: Any) -> Answer:
        """Sends ``content`` as JSON. ``data=`` and ``headers=`` say it in another way."""
        headers = {"X-Request-Id": REQUEST_ID, **options.pop("headers", {})}
        if content is not None:
            options["data"] = json.dumps(content, ensure_ascii=False).encode()
        if isinstance(options.get("data"), bytes) and len(options["data"]) > 2**20:
            options["data"] = io.BytesIO(options["data"])  # aiohttp warns of large bytes
        if "data" in options:
            headers.setdefault("Content-Type", JSON)
        skip = () if "Content-Type" in headers else ("Content-Type",)
        async with self.http.request(method, f"{self.url}{path}", headers=headers, skip_auto_headers=skip, **options) as answer:
            body = await answer.read()
            found = Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)
            self.description.check(method, answer.url.path, answer.status, answer.content_type, body)
            return found

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, content: object = None, **options: Any) -> Answer:
        return await self.call("POST", path, content, **options)

    async def accepted(self, path: str, content: object = None, **options: Any) -> Any:
        """The JSON of an answer that has to be 202."""
        answer = await self.post(path, content, **options)
        assert answer.status == 202, answer.content
        return answer.json

    async def message(self, message_id: str) -> Any:
        """What GET says about a message."""
        answer = await self.get(f"/messages/{message_id}")
        assert answer.status == 200, answer.content
        return answer.json


def assert_problem(answer: Answer, status: int, field_name: str = "", *, says: str = "", request_id: str = REQUEST_ID) -> None:
    """A refusal as RFC 9457 has it: right status and media type, the field at fault, words, and the request's id."""
    assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM), answer.content
    told = answer.json
    assert told["status"] == status
    assert told.get("field", "") == field_name, told
    assert says.lower() in told["detail"].lower(), told
    assert len(told["detail"]) > 10, told
    assert answer.headers["x-request-id"] == told["request_id"] == request_id


async def stored(redis: Redis, prefix: str) -> dict[str, int]:
    """How many things lie in each key of the test, but for the memory of topics: nothing where nothing was stored."""
    found = {}
    async for raw in redis.scan_iter(match=f"{prefix}:*", count=1000):
        name = raw.decode().split("}:", 1)[1]
        if name not in _RETAINED and not name.startswith("tally:"):
            found[name] = await _size(redis, raw)
    return found


async def _size(redis: Redis, key: bytes) -> int:
    count = {b"zset": redis.zcard, b"hash": redis.hlen, b"stream": redis.xlen, b"list": redis.llen}
    kind = await redis.type(key)
    return int(await count[kind](key)) if kind in count else 1


class Server(BaseTestServer):
    """A producer as ``python -m producer`` runs it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(host="127.0.0.1")
        self._settings = settings

    async def _make_runner(self, **_ignored: Any) -> Runner:
        return Runner(self._settings)


async def serve(settings: Settings) -> Server:
    """Starts a producer on a free port of loopback."""
    server = Server(settings)
    await server.start_server()
    return server
