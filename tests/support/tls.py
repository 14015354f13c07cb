"""TLS in front of a server that has none (the bundled one is built without): ends the encryption and passes on what comes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import trustme

CHUNK_BYTES = 65_536


class Authority:
    """Makes certificates that whoever trusts its file believes."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(self, *names: str) -> ssl.SSLContext:
        """For a server of those names or addresses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def server_that_asks(self, *names: str) -> ssl.SSLContext:
        """For a server that wants a certificate of this authority from its clients."""
        context = self.server(*names)
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_file(self) -> Path:
        """A client's certificate with its key."""
        file = self._folder / "client.pem"
        self._ca.issue_cert("client.example.com").private_key_and_cert_chain_pem.write_to_path(str(file))
        return file


@asynccontextmanager
async def tls_in_front(server_url: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Yields the port on loopback where that server is reached over TLS."""
    url = urlsplit(server_url)
    at_work: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        task.add_done_callback(at_work.discard)
        inner_reader, inner_writer = await asyncio.open_connection(url.hostname, url.port)
        with suppress(asyncio.CancelledError):  # the end of the test
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(at_work):
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the other end is gone
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
