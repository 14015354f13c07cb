"""B9: webhooks of one worker process to a receiver that takes 100 ms for each: how many a second, how late, beside a dead host.

Lateness is from the due time to the arrival at the receiver. The limit is aiohttp's client alone, with as many under way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.lateness_figures import lateness_figures
from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.processes import Process, python
from benchmarks.receiver import address
from benchmarks.report import names
from benchmarks.results import OURS, Line
from benchmarks.scenarios.watching import NotInTime, await_started
from benchmarks.server import Server
from benchmarks.subjects.limit import limit
from benchmarks.subjects.service import Service
from shared.settings import WebhooksSettings

COUNT, QUICK_COUNT = 10_000, 3_000
RATE_PER_S, HOSTS = 500, 100
SECONDS, QUICK_SECONDS = 20, 5
MARGIN_S, LATE_S, LOOK_S = 5.0, 60.0, 0.1
OPEN: dict[str, Any] = {"AllowedNetworks": ["127.0.0.0/8"], "AllowedPorts": ["1-65535"], "LogEntries": 0}


def run(plan: Plan) -> Iterator[Found]:
    count, seconds = plan.sized(COUNT, QUICK_COUNT), plan.sized(SECONDS, QUICK_SECONDS)
    for _ in plan.rounds():
        plan.doing("this service: as many as it can")
        yield Line("B9", names.WEBHOOKS_NOW, OURS, _drain(count))
        plan.doing("aiohttp's client alone")
        yield Line("B9", names.WEBHOOKS_NOW, names.BARE_CLIENT, _bare(count))
        plan.doing(f"this service: {RATE_PER_S} a second to {HOSTS} hosts")
        healthy = _lateness(seconds, last_is_dead=False)
        yield Line("B9", names.WEBHOOKS_HEALTHY, OURS, healthy)
        plan.doing("this service: one of them never answers")
        beside = _lateness(seconds, last_is_dead=True)
        yield Line("B9", names.WEBHOOKS_DEAD, OURS, {**beside, "p99_ratio": beside["p99_ms"] / healthy["p99_ms"]})


@contextmanager
def _receiver(server: Server, *more: str) -> Iterator[int]:
    """The port of a receiver whose marks are the server's."""
    log = server.folder / f"receiver-{time.monotonic_ns()}.log"
    with Process(python("-m", "benchmarks.receiver", "--marks", str(server.marks), *more), log) as process:
        until = time.monotonic() + 30
        while "ready " not in process.said():
            process.check()
            if time.monotonic() > until:
                raise RuntimeError("the receiver is not ready")
            time.sleep(0.01)
        yield int(process.said().split("ready ")[1].split()[0])


def _service(port: int, hosts: int) -> Service:
    return Service(
        topic="webhook",
        more=lambda number: {"url": f"http://{address(number % hosts)}:{port}/"},
        others=(),
        Webhooks=OPEN,
    )


def _await_all(marks: Marks, numbers: Sequence[int], within_s: float, worker: Process) -> Sequence[int]:
    """Until each of them has arrived. Raises ``NotInTime``."""
    until = time.monotonic() + within_s
    while True:
        starts = marks.starts_us()
        missing = sum(1 for number in numbers if not starts[number])
        if not missing:
            return starts
        worker.check()
        if time.monotonic() > until:
            raise NotInTime(f"{missing:,} of {len(numbers):,} have not arrived within {within_s:.0f} s")
        time.sleep(LOOK_S)


def _drain(count: int) -> dict[str, float]:
    with Server() as server:
        create(server.marks, count)
        with _receiver(server) as port, _service(port, 1).open(server) as session:
            session.fill(count)
            session.await_ready(count)
            with session.worker("webhooks") as worker:
                await_started(Marks(server.marks), count, LATE_S + count / 100, worker)
        starts = sorted(Marks(server.marks).starts_us())
    return {"messages_per_s": (count - 1) / ((starts[-1] - starts[0]) / 1e6)}


def _bare(count: int) -> dict[str, float]:
    with Server() as server:
        create(server.marks, count)
        with _receiver(server) as port:
            url, under_way = f"http://{address(0)}:{port}/", WebhooksSettings().concurrency
            limit("bare_client", "--url", url, "--count", str(count), "--under-way", str(under_way))
        starts = sorted(Marks(server.marks).starts_us())
    return {"messages_per_s": (count - 1) / ((starts[-1] - starts[0]) / 1e6)}


def _lateness(seconds: int, *, last_is_dead: bool) -> dict[str, float]:
    """Of those to the hosts that answer, whether or not one does not."""
    count = RATE_PER_S * seconds
    with Server() as server:
        create(server.marks, count)
        more = ("--hosts", str(HOSTS), *(("--last-is-dead",) if last_is_dead else ()))
        with (
            _receiver(server, *more) as port,
            _service(port, HOSTS).open(server) as session,
            session.worker("webhooks") as worker,
        ):
            due_ms = int((time.time() + MARGIN_S) * 1000)
            session.fill(count, due=str(due_ms), per_second=RATE_PER_S)
            marks = Marks(server.marks)
            others = [number for number in range(count) if number % HOSTS != HOSTS - 1]
            starts = _await_all(marks, others, MARGIN_S + seconds + LATE_S, worker)
    late_ms = sorted(starts[number] / 1000 - (due_ms + int(number * 1000 / RATE_PER_S)) for number in others)
    return lateness_figures(late_ms)
