"""What a piece of work took: time, processor time of this process, and of the server that it worked with."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any, Self

from redis import Redis

PREFIX = "limits:"
"""Every key that is written here begins with it, and is removed in the end."""


class Measure:
    """``with Measure(server) as took: ...``; what it took is read from ``took`` afterwards."""

    seconds = 0.0
    cpu_s = 0.0
    server_cpu_s = 0.0

    def __init__(self, server: Redis) -> None:
        self._server = server

    def __enter__(self) -> Self:
        self._server_cpu = server_cpu_s(self._server)
        self._cpu, self._started = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *failure: object) -> None:
        self.seconds, self.cpu_s = time.perf_counter() - self._started, time.process_time() - self._cpu
        self.server_cpu_s = server_cpu_s(self._server) - self._server_cpu

    def figures(self, count: int) -> dict[str, float]:
        """As they are printed, for ``count`` things done."""
        return {
            "count": count,
            "per_s": round(count / self.seconds),
            "seconds": round(self.seconds, 4),
            "cpu_s": round(self.cpu_s, 4),
            "server_cpu_s": round(self.server_cpu_s, 4),
        }


def server_cpu_s(server: Redis) -> float:
    """The processor time that the server has used."""
    info: Any = server.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def remove(server: Redis) -> None:
    """Removes what was written here."""
    keys: list[Any] = []
    for key in server.scan_iter(match=f"{PREFIX}*", count=1000):
        keys.append(key)
        if len(keys) == 1000:
            server.delete(*keys)
            keys = []
    if keys:
        server.delete(*keys)


def arguments(description: str | None, count: int = 100_000) -> argparse.ArgumentParser:
    """What most of these commands are told."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n", 1)[0])
    parser.add_argument("--redis", required=True, metavar="URL", help="a server that does nothing else meanwhile")
    parser.add_argument("--count", type=int, default=count, help=f"messages ({count})")
    parser.add_argument("--bytes", type=int, default=100, help="size of a message's body (100)")
    return parser


def tell(limit: str, **figures: object) -> None:
    """The one line that such a command prints."""
    print(json.dumps({"limit": limit, **figures}))
