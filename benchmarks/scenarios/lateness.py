"""B2: messages scheduled ahead and due evenly: how late each starts, with nothing else pending and with a million others.

Peers are asked for the lowest rate alone: what they cannot keep up with would only show their rate again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.lateness_figures import lateness_figures, latenesses_ms, quantiles
from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.results import Distribution, Line
from benchmarks.scenarios.watching import await_started, why
from benchmarks.server import Server
from benchmarks.subjects.service import Service
from benchmarks.subjects.subject import FAR, Session, Subject

RATES_PER_S = (200, 1_000, 5_000)
OTHERS = 1_000_000
FILL_PER_S = {True: 20_000, False: 400}
"""At least so fast this service and the slowest peer are filled: the first message is due after that, and a margin."""
MARGIN_S = 3.0
LATE_S = 60.0


def run(plan: Plan) -> Iterator[Found]:
    seconds = plan.seconds
    for _ in plan.rounds():
        yield from _ours(plan, seconds, 0, range(1))
        for peer in plan.peers:
            plan.doing(f"{peer.name}: {_case(RATES_PER_S[0], 0)}")
            with Server() as server, peer.open(server) as session:
                yield from _lines(server, session, peer, RATES_PER_S[0], seconds, 0)
    if not plan.quick:
        yield from _ours(plan, seconds, OTHERS, plan.rounds())


def _ours(plan: Plan, seconds: int, others: int, rounds: range) -> Iterator[Found]:
    """On one server, which is filled once."""
    service = Service()
    with Server() as server, service.open(server) as session:
        plan.doing(f"this service: schedules {others:,} others")
        session.fill(others, due=FAR)
        for _ in rounds:
            for rate in RATES_PER_S:
                plan.doing(f"this service: {_case(rate, others)}")
                yield from _lines(server, session, service, rate, seconds, others)


def _case(rate: int, others: int) -> str:
    return f"{rate:,}/s, {others:,} others pending"


def _lines(server: Server, session: Session, subject: Subject, rate: int, seconds: int, others: int) -> Iterator[Found]:
    try:
        ordered_ms = lateness_ms(server, session, rate, seconds, ours=isinstance(subject, Service))
    except RuntimeError as failed:
        yield Line("B2", _case(rate, others), subject.name, {}, why(failed))
        return
    yield Line(
        "B2", _case(rate, others), subject.name, lateness_figures(ordered_ms), f"{seconds} s, {len(ordered_ms):,} messages"
    )
    yield Distribution("B2", _case(rate, others), subject.name, quantiles(ordered_ms))


def lateness_ms(server: Server, session: Session, rate: int, seconds: int, *, ours: bool) -> list[float]:
    """Of every message, sorted. Raises ``NotInTime``."""
    count = rate * seconds
    create(server.marks, count)
    with session.worker("lateness") as worker:
        first_due_ms = int((time.time() + MARGIN_S + count / FILL_PER_S[ours]) * 1000)
        session.fill(count, due=str(first_due_ms), per_second=rate)
        marks = Marks(server.marks)
        await_started(marks, count, first_due_ms / 1000 - time.time() + seconds + LATE_S, worker)
    return latenesses_ms(marks.starts_us(), first_due_ms, rate)
