"""A receiver of webhooks: marks when each request came, and answers it after a fixed time. Its last host never answers.

It reads HTTP/1.1 with a ``Content-Length`` and no more, so that it takes little of the processors that it shares with those under
measurement. Listens on that many addresses of loopback, 127.1.0.1 and on. Prints ``ready PORT``; SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
from collections.abc import Callable

from benchmarks.marks import Marks

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def address(number: int) -> str:
    """Of the host of that number, from 0."""
    return f"127.1.0.{number + 1}"


class Requests(asyncio.Protocol):
    """One connection."""

    def __init__(self, marks: Marks, delay_s: float, *, answers: bool) -> None:
        self._marks, self._delay_s, self._answers = marks, delay_s, answers
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._read[:end])
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._read) < total:
                return
            self._marks.start(self._read[end + 4 : total])
            self._read = self._read[total:]
            if self._answers:
                asyncio.get_running_loop().call_later(self._delay_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def serve(marks: Marks, hosts: int, delay_s: float, *, last_is_dead: bool) -> None:
    loop = asyncio.get_running_loop()
    port = 0
    for number in range(hosts):
        answers = not (last_is_dead and number == hosts - 1)
        made: Callable[[], Requests] = lambda answers=answers: Requests(marks, delay_s, answers=answers)  # type: ignore[misc] # noqa: E731 - bound now
        server = await loop.create_server(made, address(number), port, backlog=1024)
        port = server.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(f"ready {port}", flush=True)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A receiver of webhooks that marks when each came.")
    parser.add_argument("--marks", required=True)
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--delay-ms", type=float, default=100)
    parser.add_argument("--last-is-dead", action="store_true")
    options = parser.parse_args()
    asyncio.run(serve(Marks(options.marks), options.hosts, options.delay_ms / 1000, last_is_dead=options.last_is_dead))


if __name__ == "__main__":
    main()
