"""A proxy before Redis that cuts the connection at the script call one names: what a network does in the middle of a batch."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from shared.store.scripts import SCHEDULE, Script


class CuttingProxy:
    """Passes everything on, until told where to cut."""

    def __init__(self, server_url: str, script: Script = SCHEDULE) -> None:
        self._mark = script.sha.encode()
        self._server = urlsplit(server_url)
        self._calls_left = 0
        self._after = False
        self._armed = False
        self._writers: set[asyncio.StreamWriter] = set()

    def cut_at_chunk(self, number: int, *, after_it_was_done: bool) -> None:
        """Cuts once, at the ``number``-th chunk from now on: before Redis sees it, or when its answer comes back."""
        self._calls_left, self._after, self._armed = number, after_it_was_done, True

    @property
    def url(self) -> str:
        port = self._listener.sockets[0].getsockname()[1]
        return f"redis://127.0.0.1:{port}{self._server.path}"

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.close()
        await self._listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(self._server.hostname, self._server.port)
        self._writers |= {writer, ours}
        cut_answer = asyncio.Event()

        async def requests() -> None:
            seen = b""
            while data := await reader.read(65_536):
                seen = (seen + data)[-len(data) - len(self._mark) + 1 :]
                if self._armed and self._mark in seen:
                    seen = b""
                    self._calls_left -= 1
                    if self._calls_left == 0:
                        self._armed = False
                        if not self._after:
                            return
                        cut_answer.set()
                ours.write(data)
                await ours.drain()

        async def answers() -> None:
            while data := await theirs.read(65_536):
                if cut_answer.is_set():
                    return
                writer.write(data)
                await writer.drain()

        ways = [asyncio.create_task(requests()), asyncio.create_task(answers())]
        with suppress(ConnectionError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        ours.close()
