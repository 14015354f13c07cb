"""What is common to the adapters of the peers: their arguments, when a message is due, how a handler marks, what is printed.

Uses the standard library alone: the environments of the peers import this module.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from benchmarks.marks import Marks, body_of

DAY_S = 86400
FAR_DAYS = 30
HANG_S = 600.0
HELD = 100
"""How many messages a worker that hangs is to hold."""
LEASE_S = 5
"""After how long a message of a killed worker is to be given to another, where the peer has such a setting."""


@dataclass(frozen=True)
class Fill:
    """What is to be enqueued."""

    redis: str
    count: int
    bytes: int
    due: str
    per_second: float
    first: int

    def __iter__(self) -> Iterator[tuple[str, float | None]]:
        """Each body, and when it is due in seconds since the epoch (None: now)."""
        start, step = time.time() + FAR_DAYS * DAY_S, DAY_S / max(self.count, 1)
        if self.due not in {"now", "far"}:
            start, step = float(self.due) / 1000, 1 / self.per_second
        for place in range(self.count):
            yield body_of(self.first + place, self.bytes), None if self.due == "now" else start + place * step

    async def gather(self, send: Callable[[str, float | None], Awaitable[Any]], at_once: int = 100) -> None:
        """Awaits ``send`` for each message, so many at once."""
        messages = iter(self)

        async def some() -> None:
            for body, due in messages:
                await send(body, due)

        await asyncio.gather(*(some() for _ in range(at_once)))

    def threads(self, send: Callable[[str, float | None], Any], count: int = 4) -> None:
        """Calls ``send`` for each message, from some threads: for peers that have no call for many messages."""
        messages, lock = iter(self), threading.Lock()

        def some() -> None:
            while True:
                with lock:
                    message = next(messages, None)
                if message is None:
                    return
                send(*message)

        senders = [threading.Thread(target=some) for _ in range(count)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()


class Work:
    """What a worker is to do. Its methods are the handler's; they may be called in threads and after a fork."""

    def __init__(self, redis: str, marks: str, profile: str, hang: bool) -> None:  # noqa: FBT001 - a switch of the command
        self.redis, self.profile, self.hang, self._path = redis, profile, hang, marks
        self._marks, self._pid = None, 0

    def mark(self, body: str) -> None:
        """Notes the start. Each process opens the marks for itself."""
        if self._pid != os.getpid():
            self._marks, self._pid = Marks(self._path), os.getpid()
        self._marks.start(body)

    def handle(self, body: str) -> None:
        """The handler of a peer that calls functions."""
        self.mark(body)
        if self.hang:
            time.sleep(HANG_S)

    async def handle_async(self, body: str) -> None:
        """The handler of a peer that awaits coroutines."""
        self.mark(body)
        if self.hang:
            await asyncio.sleep(HANG_S)

    def pick(self, **values: Any) -> Any:
        """The value of this profile; ``default`` where it has none of its own."""
        return values.get(self.profile, values.get("default"))


def profile() -> str:
    """The profile on the command line, for what must be set before the peer is imported."""
    return sys.argv[sys.argv.index("--profile") + 1] if "--profile" in sys.argv else ""


def ready() -> None:
    """Says that the worker consumes."""
    print("ready", flush=True)


def end_at_sigterm(children: Sequence[subprocess.Popen[bytes]] = ()) -> None:
    """Ends this process and its children at once on SIGTERM: what a peer does to end gracefully is not measured."""

    def end(*_: object) -> None:
        for child in children:
            child.kill()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def run(package: str, about: dict[str, Any], fill: Callable[[Fill], None], work: Callable[[Work], None]) -> None:
    """Does what the command line says. ``package``: the name on PyPI; ``about``: what ``describe`` prints besides it."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("describe")
    filling = commands.add_parser("fill")
    filling.add_argument("--redis", required=True)
    filling.add_argument("--count", type=int, required=True)
    filling.add_argument("--bytes", type=int, default=100)
    filling.add_argument("--due", default="now", help="now, far, or milliseconds since the epoch")
    filling.add_argument("--per-second", type=float, default=200.0)
    filling.add_argument("--first", type=int, default=0, help="number of the first message")
    working = commands.add_parser("work")
    working.add_argument("--redis", required=True)
    working.add_argument("--marks", required=True)
    working.add_argument("--profile", choices=["drain", "lateness", "recovery", "default"], default="default")
    working.add_argument("--hang", action="store_true")
    given = vars(parser.parse_args())
    command = given.pop("command")
    if command == "describe":
        print(json.dumps({"name": package, "version": version(package), **about}))
    elif command == "fill":
        wall, cpu = time.perf_counter(), time.process_time()
        fill(Fill(**given))
        print(json.dumps({"seconds": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}))
    else:
        work(Work(**given))
