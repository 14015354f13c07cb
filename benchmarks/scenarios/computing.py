"""B8: what handlers that hold the interpreter do to another topic's lateness, and what a worker of its own does for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.lateness_figures import lateness_figures, latenesses_ms
from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.results import OURS, Line
from benchmarks.scenarios.watching import await_started
from benchmarks.server import Server
from benchmarks.subjects.service import BUSY_TOPIC, OTHER_TOPIC, Service

RATE_PER_S, BUSY_PER_S = 200, 20
SECONDS, QUICK_SECONDS = 10, 3
MARGIN_S = 4.0
LATE_S = 60.0
CASES: dict[str, tuple[int, tuple[str, ...]]] = {
    "without them": (0, ("not busy",)),
    "in one worker with them": (BUSY_PER_S, ("",)),
    "in a worker of its own": (BUSY_PER_S, ("not busy", "busy")),
}
"""What the page calls it, how many of them come a second, and the profiles of the workers."""


def run(plan: Plan) -> Iterator[Found]:
    seconds = plan.sized(SECONDS, QUICK_SECONDS)
    for _ in plan.rounds():
        for case, (busy_per_s, profiles) in CASES.items():
            plan.doing(f"this service: {case}")
            yield Line("B8", case, OURS, _measure(profiles, seconds, busy_per_s))


def _measure(profiles: tuple[str, ...], seconds: int, busy_per_s: int) -> dict[str, float]:
    count, busy = RATE_PER_S * seconds, busy_per_s * seconds
    with Server() as server, Service(others=(OTHER_TOPIC, BUSY_TOPIC)).open(server) as session, ExitStack() as workers:
        create(server.marks, count + busy)
        first, *_ = [workers.enter_context(session.worker(profile)) for profile in profiles]
        due_ms = int((time.time() + MARGIN_S) * 1000)
        session.fill(count, due=str(due_ms), per_second=RATE_PER_S)
        session.fill(busy, due=str(due_ms), per_second=BUSY_PER_S, first=count, topic=BUSY_TOPIC)
        marks = Marks(server.marks)
        await_started(marks, count + busy, MARGIN_S + seconds + LATE_S, first)
    return lateness_figures(latenesses_ms(marks.starts_us()[:count], due_ms, RATE_PER_S))
