"""This service as processes under measurement, on a server of a run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.processes import Process, python
from benchmarks.server import Server
from shared.store.keys import Keys

READY_S = 30.0
TOPIC = "bench"
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


class Service:
    """Starts processes of the service with one set of settings."""

    def __init__(self, server: Server, marks: Path | None = None, **sections: dict[str, Any]) -> None:
        """``sections``: settings that differ from the defaults."""
        self._server, self._marks = server, marks
        self.keys = Keys("mss", 0)
        self._settings = server.folder / "appsettings.json"
        topics = [{"Name": name, "Handler": "benchmarks.handlers", "RetentionMs": 0} for name in (TOPIC, f"{TOPIC}-async")]
        settings: dict[str, Any] = {
            "Redis": {"ConnectionString": server.url},
            "Producer": {"Port": 0},
            "Dispatcher": {"Port": 0},
            "Consumers": {"Port": 0},
            "Logging": {"Directory": str(server.folder / "logs"), "Level": "INFO"},
            "Topics": topics,
        }
        for section, values in sections.items():
            settings[section] = {**settings.get(section, {}), **values} if isinstance(values, dict) else values
        self._settings.write_text(json.dumps(settings), encoding="utf-8")

    @contextmanager
    def process(self, kind: str, *, name: str = "", holds: bool = False) -> Iterator[Process]:
        """``producer``, ``dispatcher`` or ``consumers``, ready to work."""
        environment = {"APPSETTINGS": str(self._settings), "BENCH_HOLD": "1" if holds else "0"}
        if self._marks is not None:
            environment["BENCH_MARKS"] = str(self._marks)
        log = self._server.folder / f"{name or kind}.log"
        with Process(python("-m", kind), log, environment) as process:
            _await(process, lambda said: (_LISTENING.search(said) is not None and "server:" in said) or kind == "producer")
            yield process

    def port(self, producer: Process) -> int:
        """Where the producer listens."""
        return int(_await(producer, _LISTENING.search)[1])


def _await(process: Process, look: Any) -> Any:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        process.check()
        found = look(process.said())
        if found:
            return found
        time.sleep(0.01)
    raise RuntimeError(f"not ready within {READY_S:.0f} s:\n{process.said()[-2000:]}")
