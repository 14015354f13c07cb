"""A TCP link between one process and Redis that can be delayed, held up, cut, and reset in the middle of a message."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

CHUNK_BYTES = 65_536
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST and forgets what was not sent."""


class Link:
    """Listens on loopback and passes on what comes, both ways. Nothing that is held up is lost: it arrives later."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.delay_s = 0.0
        self._reset_next = False
        self.port = 0
        self.passed_bytes = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends every connection and listens no more."""
        if self._server is not None:
            self._server.close()
        self._open.set()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def hold(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        self._open.clear()

    def release(self) -> None:
        """What was held up arrives now."""
        self._open.set()

    def cut(self) -> None:
        """Resets every connection."""
        for writer in tuple(self._writers):
            _reset(writer)

    def reset_halfway(self) -> None:
        """The next message on any connection arrives by half; then that connection is reset."""
        self._reset_next = True

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._open.wait()
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # Redis is down, or was meant to be
            _reset(writer)
            self._writers.discard(writer)
            return
        self._writers.add(other_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, other_writer)),
            asyncio.create_task(self._pump(other_reader, writer)),
        ]
        self._pumps.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._pumps.difference_update(pumps)
        for one in (writer, other_writer):
            one.close()
            self._writers.discard(one)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._open.wait()
                if self._reset_next and len(data) > 1:
                    self._reset_next = False
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    return
                writer.write(data)
                self.passed_bytes += len(data)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()
