"""B1: messages that are due now, drained by one worker process. Rate from the first start to the last, and processor time.

The worker starts when everything lies where it looks. What filling and dispatching cost is counted with the rest; whoever
calls the producer is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.results import Line
from benchmarks.scenarios.watching import NotInTime, await_started
from benchmarks.server import Server
from benchmarks.subjects.limit import limit
from benchmarks.subjects.service import Service
from benchmarks.subjects.subject import Session, Subject

CASE = "100-byte bodies, due now"
USED = "the same, with labels, flow key, idempotency key and retention"
COUNT, QUICK_COUNT = 20_000, 5_000
SLOWEST_PER_S = 100
EVERYTHING = {"labels": ["a", "b"], "flow_key": "customer-7", "headers": {"x-trace": "1"}}
"""What a message may carry besides its body."""


def run(plan: Plan) -> Iterator[Found]:
    count = plan.sized(COUNT, QUICK_COUNT)
    for _ in plan.rounds():
        for subject in (Service(), *plan.peers):
            plan.doing(f"{subject.name}: {CASE}")
            yield _line(subject, CASE, count)
        plan.doing(f"this service: {USED}")
        used = Service(more=EVERYTHING, Retention={"DeliveredMs": 3_600_000})
        yield _line(used, USED, count)
        plan.doing("limit: read-ack-delete")
        yield _limit(count)


def _limit(count: int) -> Line:
    with Server() as server:
        found = limit("pipelines", "read", "--redis", server.url, "--count", str(10 * count))
    cpu_us = {
        "cpu_us_processes": found["cpu_s"] / found["count"] * 1e6,
        "cpu_us_server": found["server_cpu_s"] / found["count"] * 1e6,
    }
    figures = {"messages_per_s": float(found["per_s"]), **cpu_us, "cpu_us_per_message": sum(cpu_us.values())}
    return Line("B1", CASE, "limit: read-ack-delete", figures, "entries are in the stream before; nothing is run")


def _line(subject: Subject, case: str, count: int) -> Line:
    with Server() as server, subject.open(server) as session:
        create(server.marks, count)
        try:
            return Line("B1", case, subject.name, drain(server, session, count))
        except NotInTime as late:
            return Line("B1", case, subject.name, {}, f"{late}")


def drain(server: Server, session: Session, count: int, size: int = 100, first: int = 0) -> dict[str, float]:
    """Fills, lets one worker drain, and gives rates (messages per second) and processor time (microseconds per message)."""
    marks = Marks(server.marks)
    before = _used(server, session)
    fill_s = session.fill(count, size, first=first)
    session.await_ready(count)
    with session.worker("drain") as worker:
        await_started(marks, marks.started() + 1, 60, worker)
        started = _used(server, session, worker.cpu_s())
        await_started(marks, count, 60 + count / SLOWEST_PER_S, worker)
        ended = _used(server, session)
        idle_cpu = started[2]
    starts = sorted(one for one in marks.starts_us()[first : first + count] if one)
    processes_s, server_s = ended[0] - before[0] - idle_cpu, ended[1] - before[1]
    return {
        "messages_per_s": (count - 1) / max((starts[-1] - starts[0]) / 1e6, 1e-6),
        "fill_per_s": count / fill_s,
        "cpu_us_per_message": (processes_s + server_s) / count * 1e6,
        "cpu_us_processes": processes_s / count * 1e6,
        "cpu_us_server": server_s / count * 1e6,
        "repeats": float(marks.repeats()),
    }


def _used(server: Server, session: Session, starting_s: float = 0.0) -> tuple[float, float, float]:
    """Processor time of the processes and of the server; and what a worker spent on starting up, which is not counted."""
    return session.cpu_s(), server.cpu_s(), starting_s
