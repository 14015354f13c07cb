"""A peer: its adapter, run as a command in an environment of its own.

The commands are those of ``benchmarks/peers/command.py``: ``describe``, ``fill``, ``work``.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.environments import Environment
from benchmarks.processes import Process
from benchmarks.server import Server
from benchmarks.subjects.subject import NOW

READY_S = 60.0
FILL_S = 1800.0
STOP_S = 5.0


class Peer:
    """The subject."""

    def __init__(self, environment: Environment) -> None:
        self.name = environment.name
        self._environment = environment

    def describe(self) -> dict[str, Any]:
        """Its version, what it is set to and where that is documented."""
        return self._run("describe")

    def _run(self, *arguments: str) -> dict[str, Any]:
        command = [*self._environment.command, *arguments]
        ended = subprocess.run(
            command, env=self._environment.variables(), capture_output=True, text=True, timeout=FILL_S, check=False
        )
        if ended.returncode != 0:
            raise RuntimeError(f"{command} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
        return answer

    @contextmanager
    def open(self, server: Server) -> Iterator[PeerSession]:
        yield PeerSession(server, self._run, self._environment)


class PeerSession:
    def __init__(self, server: Server, run: Any, environment: Environment) -> None:
        self._server, self._run, self._environment = server, run, environment
        self._gone_cpu_s = 0.0
        self._workers: list[Process] = []

    def fill(self, count: int, size: int = 100, due: str = NOW, per_second: float = 0.0, first: int = 0) -> float:
        arguments: Sequence[str] = (
            "fill", "--redis", self._server.url, "--count", str(count), "--bytes", str(size), "--due", due, "--first", str(first),
        )  # fmt: skip
        answer = self._run(*arguments, *(("--per-second", str(per_second)) if per_second else ()))
        self._gone_cpu_s += answer["cpu_s"]
        return float(answer["seconds"])

    def await_ready(self, count: int) -> None:
        """Peers put what is due where their workers look."""
        del count

    @contextmanager
    def worker(self, profile: str, *, holds: bool = False) -> Iterator[Process]:
        command = [
            *self._environment.command, "work", "--redis", self._server.url, "--marks", str(self._server.marks),
            "--profile", profile, *(("--hang",) if holds else ()),
        ]  # fmt: skip
        log = self._server.folder / f"{self._environment.name}-{time.monotonic_ns()}.log"
        with Process(command, log, self._environment.variables(), end_s=STOP_S) as process:
            until = time.monotonic() + READY_S
            while "ready" not in process.said():
                process.check()
                if time.monotonic() > until:
                    raise RuntimeError(f"{self._environment.name} is not ready within {READY_S:.0f} s:\n{process.said()[-2000:]}")
                time.sleep(0.01)
            self._workers.append(process)
            yield process
            self._workers.remove(process)
            if process.is_running:
                self._gone_cpu_s += process.cpu_s()

    def cpu_s(self) -> float:
        return self._gone_cpu_s + sum(one.cpu_s() for one in self._workers)


PEERS = ("bullmq", "docket", "streaq", "arq", "saq", "taskiq", "dramatiq", "celery", "rq", "huey")
FOLDER = Path(__file__).parent.parent / "peers"
