"""Load over HTTP from a process of its own: connections that are kept, each with one request on its way at any time.

    python -m benchmarks.load --url http://127.0.0.1:3000/echoAtTime --connections 64 --requests 20000
    python -m benchmarks.load --url http://127.0.0.1:3000/messages/batch --connections 4 --requests 200 --batch 500

It must not be what is measured. So requests are built before the clock starts, of an answer only the status and the length
are read, and sockets are polled without asyncio, which would double the processor time: two thirds of what is left are the
kernel's. Prints one line of JSON: times from the moment a request is sent until its answer is complete, and ``cpu_s``, the
processor time of this process meanwhile. A failure is another status than 202, or a connection that broke.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.marks import body_of

TEMPLATE = '{"time": {time}, "message": "{message}"}'
BATCH_TEMPLATE = '{"topic": "echo", "body": "{message}", "deliver_at": {time}}'
SPREAD_S = 3600
"""Due times are spread over so many seconds."""
SILENCE_S = 60.0
"""A server that says nothing for so long is given up."""
ACCEPTED = b"HTTP/1.1 202 "
LENGTH = b"content-length:"
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Lane:
    """One connection."""

    socket: socket.socket
    sent_at: float = 0.0
    rest: bytes = b""
    """Of the request: what the kernel did not take yet."""
    answer: bytes = b""
    """What has come of it, while it is not complete."""


class Load:
    """Sends the requests over so many connections, each when an answer came. Raises ``OSError`` where none can be made."""

    def __init__(self, host: str, port: int, connections: int, requests: list[bytes]) -> None:
        self._address = (host, port)
        self._waiting = iter(requests)
        self._poller, self._silence = poller()
        self._lanes: dict[int, Lane] = {}
        self.took_s: list[float] = []
        self.failures: list[str] = []
        self.accepted = 0
        for _ in range(connections):
            self._connect()

    def run(self) -> None:
        """Until every request is answered or has failed. Raises ``TimeoutError`` where the server falls silent."""
        for lane in list(self._lanes.values()):
            self._send(lane)
        while self._lanes:
            events = self._poller.poll(self._silence)
            if not events:
                raise TimeoutError(f"no answer for {SILENCE_S:.0f} s")
            for number, event in events:
                lane = self._lanes[number]
                if event & select.POLLOUT:
                    self._write(lane, lane.rest)
                else:
                    self._read(lane)

    def _connect(self) -> Lane:
        made = socket.create_connection(self._address, timeout=SILENCE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)  # noqa: FBT003 - its only argument
        lane = self._lanes[made.fileno()] = Lane(made)
        self._poller.register(made.fileno(), select.POLLIN)
        return lane

    def _send(self, lane: Lane) -> None:
        """The next request. Where there is none, the connection is closed."""
        request = next(self._waiting, None)
        if request is None:
            self._close(lane)
            return
        lane.sent_at = time.perf_counter()
        self._write(lane, request)

    def _write(self, lane: Lane, request: bytes) -> None:
        """As much as the kernel takes at once, which is all but of large batches."""
        try:
            sent = lane.socket.send(request)
        except BlockingIOError:
            sent = 0
        except OSError as failure:
            self._replace(lane, str(failure))
            return
        was_waiting, lane.rest = bool(lane.rest), request[sent:]
        if lane.rest:
            self._poller.modify(lane.socket.fileno(), select.POLLOUT)
        elif was_waiting:
            self._poller.modify(lane.socket.fileno(), select.POLLIN)

    def _read(self, lane: Lane) -> None:
        try:
            data = lane.socket.recv(1 << 16)
        except OSError as failure:
            self._replace(lane, str(failure))
            return
        if not data:
            self._replace(lane, "closed")
            return
        if lane.answer:
            data = lane.answer + data
        head = data.find(HEAD_END)
        if head < 0 or len(data) < head + len(HEAD_END) + body_length(data, head):
            lane.answer = data
            return
        lane.answer = b""
        self.took_s.append(time.perf_counter() - lane.sent_at)
        if data.startswith(ACCEPTED):
            self.accepted += 1
        else:
            self.failures.append(data[: data.find(b"\r\n")].decode(errors="replace"))
        self._send(lane)

    def _replace(self, lane: Lane, why: str) -> None:
        """A connection that broke: its request has failed, the next one goes over another."""
        self.failures.append(f"connection lost: {why}")
        self._close(lane)
        self._send(self._connect())

    def _close(self, lane: Lane) -> None:
        number = lane.socket.fileno()
        del self._lanes[number]
        self._poller.unregister(number)
        lane.socket.close()


def poller() -> tuple[Any, float]:
    """What waits for sockets, and ``SILENCE_S`` as it takes it. epoll and poll are the same for what is used of them here."""
    if sys.platform == "linux":
        made, silence = select.epoll(), SILENCE_S
    else:
        made, silence = select.poll(), SILENCE_S * 1000
    return made, silence


def body_length(data: bytes, head: int) -> int:
    """The length of the body that the head announces; none where it says nothing."""
    at = data.find(b"Content-Length:", 0, head)
    if at < 0:
        at = data[:head].lower().find(LENGTH)
        if at < 0:
            return 0
    return int(data[at + len(LENGTH) : data.find(b"\r\n", at)])


def summary(load: Load, seconds: float, cpu_s: float) -> dict[str, object]:
    took = sorted(load.took_s) or [0.0]

    def share(percent: int) -> float:
        return round(took[min(len(took) - 1, len(took) * percent // 100)] * 1000, 3)

    told: dict[str, object] = {
        "requests": len(load.took_s),
        "seconds": round(seconds, 4),
        "per_s": round(len(load.took_s) / seconds, 1),
        "p50_ms": share(50),
        "p90_ms": share(90),
        "p99_ms": share(99),
        "max_ms": round(took[-1] * 1000, 3),
        "cpu_s": round(cpu_s, 4),
        "failures": len(load.failures),
    }
    if load.failures:
        told["first_failure"] = load.failures[0]
    return told


def bodies(options: argparse.Namespace) -> Iterator[bytes]:
    """A body for each request: a message of its own, or ``--batch`` of them."""
    first_due = int(time.time()) + options.due_in
    template = options.body_template or (BATCH_TEMPLATE if options.batch else TEMPLATE)

    def message(number: int) -> str:
        due = str(first_due + number % SPREAD_S)
        text: str = template.replace("{time}", due).replace("{message}", body_of(number, options.bytes))
        return text

    for position in range(options.requests):
        if options.batch:
            first = options.first + position * options.batch
            yield ("[" + ",".join(map(message, range(first, first + options.batch))) + "]").encode()
        else:
            yield message(options.first + position).encode()


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load over HTTP: connections that are kept, one request at a time on each.")
    parser.add_argument("--url", required=True, help="http only")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--batch", type=int, default=0, metavar="K", help="messages of a request, as a JSON array (0: one, bare)")
    parser.add_argument("--bytes", type=int, default=100, help="size of a message's body (100)")
    parser.add_argument("--first", type=int, default=0, help="number of the first message (0)")
    parser.add_argument("--due-in", type=int, default=86_400, metavar="S", help="seconds until the first is due (a day)")
    parser.add_argument("--body-template", help="a message's JSON, with {time} and {message} where those go")
    parser.add_argument("--header", action="append", default=[], help="such as 'Authorization: Bearer ...'")
    return parser.parse_args()


def main() -> None:
    options = read_arguments()
    url = urlsplit(options.url)
    host, port = url.hostname or "127.0.0.1", url.port or 80
    more = "".join(f"{line}\r\n" for line in options.header)
    head = f"POST {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n{more}Content-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies(options)]
    load = Load(host, port, options.connections, requests)
    cpu, started = time.process_time(), time.perf_counter()
    load.run()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    told = summary(load, seconds, cpu_s)
    if options.batch:
        told["messages"] = load.accepted * options.batch
        told["messages_per_s"] = round(load.accepted * options.batch / seconds, 1)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
