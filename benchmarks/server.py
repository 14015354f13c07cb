"""A server of its own for each run: the bundled one, empty, with its append-only file on (``appendfsync everysec``)."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis

from cli.server import BundledServer

OPTIONS = ("--appendfsync", "everysec")
LOOK_S = 0.2
REWRITE_S = 600.0
"""The append-only file of ten million messages is written anew in less."""


class Server:
    """Started by ``with``, ended and forgotten with it."""

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        folder = Path(self._folder.name)
        self._server = BundledServer(folder / "data", folder / "server.log", options=(*OPTIONS, *options))

    def __enter__(self) -> Self:
        self._server.start()
        self.client: Any = Redis.from_url(self.url)  # typed as the union of all that options could make of an answer
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()
        self._server.stop()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def folder(self) -> Path:
        """For whatever a run writes."""
        return Path(self._folder.name)

    @property
    def marks(self) -> Path:
        """Where the marks of the run are."""
        return self.folder / "marks"

    def cpu_s(self) -> float:
        """What it has used of the processor so far, with its helper threads and children."""
        found = self.client.info("cpu")
        return float(
            sum(found[name] for name in ("used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"))
        )

    def used_bytes(self) -> int:
        """Memory in use by what it holds, as its allocator counts it."""
        return int(self.client.info("memory")["used_memory"])

    def rewrite_file(self) -> None:
        """Writes the append-only file anew, and waits until that is done. Raises ``RuntimeError`` where that takes too long."""
        self._await_rewrite()
        self.client.bgrewriteaof()
        self._await_rewrite()

    def _await_rewrite(self) -> None:
        until = time.monotonic() + REWRITE_S
        while time.monotonic() < until:
            time.sleep(LOOK_S)
            found = self.client.info("persistence")
            if not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"]):
                return
        raise RuntimeError("the append-only file is still being rewritten")

    def describe(self) -> dict[str, str]:
        """The build and its allocator."""
        info, memory = self.client.info("server"), self.client.info("memory")
        return {
            "server": f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}",
            "allocator": memory["mem_allocator"],
            "compiler": f"gcc {info.get('gcc_version', 'unknown')}",
            "appendfsync": self.client.config_get("appendfsync")["appendfsync"],
            "hz": self.client.config_get("hz")["hz"],
        }
