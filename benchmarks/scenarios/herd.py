"""B3: messages that are all due in one millisecond: when the last of them starts, and how late other topics are meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.lateness_figures import latenesses_ms, percentile
from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.results import OURS, Line
from benchmarks.scenarios.drain import drain
from benchmarks.scenarios.watching import await_started
from benchmarks.server import Server
from benchmarks.subjects.service import OTHER_TOPIC, Service

COUNT, QUICK_COUNT = 100_000, 10_000
DRAINED = 20_000
OTHERS_PER_S = 200
PROFILE = "herd"
"""What a worker is set to where a herd may come and other topics are not to wait."""
BEFORE_S = 1.0
"""So long before the herd the others begin."""
MARGIN_S = 4.0
FILL_PER_S = 12_000
SLOWEST_PER_S = 2_000


def run(plan: Plan) -> Iterator[Found]:
    count = plan.sized(COUNT, QUICK_COUNT)
    for _ in plan.rounds():
        plan.doing("this service: the rate of a drain as in B1, to compare with")
        with Server() as server, Service().open(server) as session:
            create(server.marks, DRAINED)
            drained = drain(server, session, DRAINED)
        plan.doing(f"this service: {count:,} in one millisecond")
        figures = _herd(count, count / drained["messages_per_s"])
        yield Line("B3", f"{count:,} in one millisecond", OURS, {**figures, "drain_per_s": drained["messages_per_s"]})


def _herd(count: int, expected_s: float) -> dict[str, float]:
    others = int(OTHERS_PER_S * (BEFORE_S + 1.5 * expected_s))
    with Server() as server, Service().open(server) as session:
        create(server.marks, count + others)
        with session.worker(PROFILE) as worker:
            due_ms = int((time.time() + MARGIN_S + count / FILL_PER_S) * 1000)
            first_ms = due_ms - int(BEFORE_S * 1000)
            session.fill(count, due=str(due_ms))
            session.fill(others, due=str(first_ms), per_second=OTHERS_PER_S, first=count, topic=OTHER_TOPIC)
            marks = Marks(server.marks)
            await_started(marks, count + others, due_ms / 1000 - time.time() + 30 + count / SLOWEST_PER_S, worker)
    starts = marks.starts_us()
    last_us = max(starts[:count])
    beside = latenesses_ms(starts[count:], first_ms, OTHERS_PER_S)
    meanwhile = [
        late
        for number, late in enumerate(starts[count + number] / 1000 - _due(first_ms, number) for number in range(others))
        if due_ms <= _due(first_ms, number) <= last_us / 1000
    ]
    ordered = sorted(meanwhile) or beside
    return {
        "last_ms": last_us / 1000 - due_ms,
        "earliest_ms": min(starts[:count]) / 1000 - due_ms,
        "others_p50_ms": percentile(ordered, 0.5),
        "others_p99_ms": percentile(ordered, 0.99),
        "others_max_ms": ordered[-1],
        "others": float(len(ordered)),
    }


def _due(first_ms: int, number: int) -> int:
    return first_ms + int(number * 1000 / OTHERS_PER_S)
