"""A connection to a producer, byte for byte: for what no HTTP client would send."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

LONGEST_WAIT_S = 20.0


@dataclass(frozen=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawConnection:
    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """What the other side no longer reads is not sent."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def answer(self) -> RawAnswer:
        """The next answer."""
        async with asyncio.timeout(LONGEST_WAIT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return RawAnswer(int(first.split()[1]), headers, body)

    async def closed(self) -> bool:
        """Waits for the other side's end."""
        async with asyncio.timeout(LONGEST_WAIT_S):
            try:
                return await self._reader.read() == b""
            except ConnectionError:
                return True


def head(method: str = "POST", path: str = "/messages", **headers: object) -> bytes:
    """A request's head; ``content_length=5`` is the header ``Content-Length: 5``."""
    given = {"Host": "localhost", "Content-Type": "application/json"} | {
        name.replace("_", "-").title(): value for name, value in headers.items()
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
