"""B1: messages that are due now, drained by one worker process. Rate from the first start to the last, and processor time.

The worker starts when everything lies where it looks. What filling and dispatching cost is counted with the rest; whoever
calls the producer is not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.report.names import DRAIN, DRAIN_IN_USE, READ_ACK_DELETE
from benchmarks.results import OURS, Line
from benchmarks.scenarios.watching import await_started, why
from benchmarks.server import Server
from benchmarks.subjects.limit import limit
from benchmarks.subjects.service import Service
from benchmarks.subjects.subject import Session, Subject

LIMITS = (
    (
        "read",
        READ_ACK_DELETE,
        "a hundred are read, then acknowledged and deleted; they are in the stream before, and nothing is run",
    ),
    ("read_many", f"{READ_ACK_DELETE}, four connections", "the same over four connections at once"),
)
COUNT, QUICK_COUNT = 20_000, 5_000
FEW = {"rq": 2_000, **dict.fromkeys(("docket", "streaq", "arq", "saq", "celery"), 5_000)}
"""Fewer for those that do some two thousand a second and less, whose rate does not depend on how many there are."""
SLOWEST_PER_S = 100
SETTLE_S = 0.3
"""Until the last are settled."""
AS_IT_COMES = f"{OURS}, as it comes"
EVERYTHING = {"labels": ["a", "b"], "flow_key": "customer-7", "headers": {"x-trace": "1"}}
"""What a message may carry besides its body."""


def run(plan: Plan) -> Iterator[Found]:
    count = plan.sized(COUNT, QUICK_COUNT)
    for _ in plan.rounds():
        for subject in (Service(), *plan.peers):
            plan.doing(f"{subject.name}: {DRAIN}")
            yield _line(subject, DRAIN, min(count, FEW.get(subject.name, count)))
        plan.doing(f"{AS_IT_COMES}: {DRAIN}")
        yield _line(Service(name=AS_IT_COMES), DRAIN, count, "default")
        plan.doing(f"this service: {DRAIN_IN_USE}")
        used = Service(more=EVERYTHING, Retention={"DeliveredMs": 3_600_000})
        yield _line(used, DRAIN_IN_USE, count)
        plan.doing(READ_ACK_DELETE)
        for what, name, note in LIMITS:
            yield _limit(what, name, note, count)


def _limit(what: str, name: str, note: str, count: int) -> Line:
    with Server() as server:
        found = limit("pipelines", what, "--redis", server.url, "--count", str(10 * count))
    cpu_us = {
        "cpu_us_processes": found["cpu_s"] / found["count"] * 1e6,
        "cpu_us_server": found["server_cpu_s"] / found["count"] * 1e6,
    }
    figures = {"messages_per_s": float(found["per_s"]), **cpu_us, "cpu_us_per_message": sum(cpu_us.values())}
    return Line("B1", DRAIN, name, figures, note)


def _line(subject: Subject, case: str, count: int, profile: str = "drain") -> Line:
    with Server() as server, subject.open(server) as session:
        create(server.marks, count)
        try:
            note = f"{count:,} messages" if subject.name in FEW else ""
            return Line("B1", case, subject.name, drain(server, session, count, profile=profile), note)
        except RuntimeError as failed:
            return Line("B1", case, subject.name, {}, why(failed))


def drain(
    server: Server, session: Session, count: int, size: int = 100, first: int = 0, profile: str = "drain"
) -> dict[str, float]:
    """Fills, lets one worker drain, and gives rates (messages per second) and processor time (microseconds per message)."""
    marks = Marks(server.marks)
    processes_s, server_s = session.cpu_s(), server.cpu_s()
    fill_s = session.fill(count, size, first=first)
    session.await_ready(count)
    with session.worker(profile) as worker:
        await_started(marks, marks.started() + 1, 60, worker)
        processes_s += worker.cpu_s()  # what it took to start up is nobody's message's
        await_started(marks, count, 60 + count / SLOWEST_PER_S, worker)
        time.sleep(SETTLE_S)
        processes_s, server_s = session.cpu_s() - processes_s, server.cpu_s() - server_s
    starts = sorted(one for one in marks.starts_us()[first : first + count] if one)
    return {
        "messages_per_s": (count - 1) / max((starts[-1] - starts[0]) / 1e6, 1e-6),
        "fill_per_s": count / fill_s,
        "cpu_us_per_message": (processes_s + server_s) / count * 1e6,
        "cpu_us_processes": processes_s / count * 1e6,
        "cpu_us_server": server_s / count * 1e6,
        "repeats": float(marks.repeats()),
    }
