"""This service: a producer, a dispatcher and workers, each a process, filled over HTTP."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from benchmarks.marks import body_of
from benchmarks.processes import Process, python
from benchmarks.results import OURS
from benchmarks.server import Server
from benchmarks.subjects.subject import FAR, NOW
from shared.settings import WEBHOOK
from shared.store.keys import Keys

READY_S = 30.0
BATCH = 1000
DAY_MS = 86_400_000
TOPIC = "bench"
OTHER_TOPIC = "bench-other"
BUSY_TOPIC = "bench-busy"
CONSUMERS: dict[str, dict[str, Any]] = {
    "drain": {"BatchSize": 1_000},
    "herd": {"BatchSize": 200},
    "recovery": {"LeaseMs": 5_000},
    "not busy": {"Topics": [TOPIC, OTHER_TOPIC]},
    "busy": {"Topics": [BUSY_TOPIC]},
}
"""What a worker is set to, by profile; else to nothing. README.md says of both settings what they do."""
ABOUT = (
    "Defaults, but: B1 and B6 Consumers.BatchSize=1000 (handlers of microseconds; 'as it comes' is without), B3 200 (other "
    "topics are not to wait), B7 Consumers.Threads=100, and Consumers.LeaseMs=5000 where the lease is 5 s, B8 Consumers.Topics; "
    "Retention.DeliveredMs=0, as no peer keeps what was delivered. documented at README.md, Settings"
)
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
_encode = msgspec.json.Encoder().encode


class Service:
    """The subject."""

    def __init__(
        self,
        topic: str = TOPIC,
        more: dict[str, Any] | Callable[[int], dict[str, Any]] | None = None,
        name: str = OURS,
        others: Sequence[str] = (OTHER_TOPIC,),
        **sections: Any,
    ) -> None:
        """``more``: what each message asks for besides, or what the one of a number does. ``others``: topics that there are
        besides. ``sections``: settings that differ from the defaults.
        """
        self.name = name
        self.topic, self.more, self.others, self.sections = topic, more or {}, others, sections

    def more_of(self, number: int) -> dict[str, Any]:
        return self.more(number) if callable(self.more) else self.more

    @contextmanager
    def open(self, server: Server) -> Iterator[Running]:
        running = Running(server, self)
        with running.process("producer") as producer, running.process("dispatcher") as dispatcher:
            running.producer, running.dispatcher = producer, dispatcher
            yield running


class Running:
    """Its processes on one server."""

    producer: Process
    dispatcher: Process
    _connection: http.client.HTTPConnection

    def __init__(self, server: Server, service: Service) -> None:
        self._server, self._service = server, service
        self.keys = Keys("mss", 0)
        self._gone_cpu_s = 0.0
        self._workers: list[Process] = []

    @contextmanager
    def process(self, kind: str, environment: dict[str, str] | None = None, profile: str = "") -> Iterator[Process]:
        """``producer``, ``dispatcher`` or ``consumers``, ready to work."""
        file = self._server.folder / f"appsettings-{profile}.json"
        file.write_text(json.dumps(self._settings(profile)), encoding="utf-8")
        log = self._server.folder / f"{kind}-{time.monotonic_ns()}.log"
        marks = {"BENCH_MARKS": str(self._server.marks)}
        with Process(python("-m", kind), log, {"APPSETTINGS": str(file), **marks, **(environment or {})}) as process:
            _await(process, lambda said: _LISTENING.search(said) and (kind == "producer" or "server:" in said))
            yield process

    def _settings(self, profile: str) -> dict[str, Any]:
        topics = [
            {"Name": name, "Handler": "benchmarks.handlers"}
            for name in dict.fromkeys((self._service.topic, *self._service.others))
            if name != WEBHOOK.name
        ]
        settings: dict[str, Any] = {
            "Redis": {"ConnectionString": self._server.url},
            "Producer": {"Port": 0},
            "Dispatcher": {"Port": 0},
            "Consumers": {"Port": 0, **CONSUMERS.get(profile, {})},
            "Retention": {"DeliveredMs": 0},
            "Logging": {"Directory": str(self._server.folder / "logs")},
            "Topics": topics,
        }
        for section, values in self._service.sections.items():
            settings[section] = {**settings.get(section, {}), **values}
        return settings

    @property
    def port(self) -> int:
        """Where the producer listens."""
        return int(_await(self.producer, _LISTENING.search)[1])

    def fill(
        self, count: int, size: int = 100, due: str = NOW, per_second: float = 0.0, first: int = 0, topic: str | None = None
    ) -> float:
        started_s = time.monotonic()
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)  # one that is quiet is closed
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            self._post(
                _encode(
                    [
                        {
                            "topic": topic or self._service.topic,
                            "body": body_of(first + number, size),
                            **_when(due, per_second, number, count),
                            **self._service.more_of(first + number),
                        }
                        for number in numbers
                    ]
                )
            )
        self._connection.close()
        return time.monotonic() - started_s

    def _post(self, body: bytes) -> None:
        self._connection.request("POST", "/messages/batch", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"the producer answered {answer.status}: {said[:300]!r}")

    def await_ready(self, count: int) -> None:
        until = time.monotonic() + READY_S + count / 1000
        while self._server.client.xlen(self.keys.stream(self._service.topic)) < count:
            if time.monotonic() > until:
                raise RuntimeError("what is due was not dispatched")
            time.sleep(0.01)

    @contextmanager
    def worker(self, profile: str, *, holds: bool = False) -> Iterator[Process]:
        with self.process("consumers", {"BENCH_HOLD": "1" if holds else "0"}, profile) as worker:
            self._workers.append(worker)
            yield worker
            self._workers.remove(worker)
            if worker.is_running:
                self._gone_cpu_s += worker.cpu_s()

    def cpu_s(self) -> float:
        return self._gone_cpu_s + sum(one.cpu_s() for one in (self.producer, self.dispatcher, *self._workers))


def _when(due: str, per_second: float, number: int, count: int) -> dict[str, Any]:
    if due == NOW:
        return {"delay": 0}
    if due == FAR:
        return {"deliver_at": int(time.time() * 1000) + 30 * DAY_MS + number * DAY_MS // count}
    return {"deliver_at": int(due) + int(number * 1000 / per_second) if per_second else int(due)}


def _await(process: Process, look: Callable[[str], Any]) -> Any:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        process.check()
        found = look(process.said())
        if found:
            return found
        time.sleep(0.01)
    raise RuntimeError(f"not ready within {READY_S:.0f} s:\n{process.said()[-2000:]}")
