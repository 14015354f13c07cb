"""B7: a worker that holds 100 messages is killed with SIGKILL: how long until another has delivered them all."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.marks import Marks, create
from benchmarks.plan import Found, Plan
from benchmarks.processes import Process
from benchmarks.results import OURS, Line
from benchmarks.scenarios.watching import NotInTime, await_started, why
from benchmarks.server import Server
from benchmarks.subjects.service import Service
from benchmarks.subjects.subject import Session, Subject

HELD = 100
ALLOWED_S = 30.0
"""For this service and for peers that are set to 5 s: whoever needs more has no recovery that could be told from none."""
HOLD_S = 60.0
PROFILES = (("recovery", "lease 5 s"), ("default", "lease 10 s"))
"""What this service is set to, and the case in words."""
THEIR_PROFILE, THEIR_CASE = "recovery", "set to 5 s"


def run(plan: Plan) -> Iterator[Found]:
    failed = set[str]()
    for _ in plan.rounds():
        for profile, case in PROFILES:
            plan.doing(f"this service: {case}")
            yield Line("B7", case, OURS, recovery(Service(Consumers={"Threads": HELD}), profile, ALLOWED_S))
        for peer in plan.peers:
            if peer.name not in failed:  # else once is enough
                plan.doing(f"{peer.name}: {THEIR_CASE}")
                line = _peer(peer)
                if "seconds" not in line.figures:
                    failed.add(peer.name)
                yield line


def _peer(peer: Subject) -> Line:
    try:
        figures = recovery(peer, THEIR_PROFILE, ALLOWED_S)
    except RuntimeError as failed:
        return Line("B7", THEIR_CASE, peer.name, {}, why(failed))
    note = f"not all within {ALLOWED_S:.0f} s" if "seconds" not in figures else ""
    return Line("B7", THEIR_CASE, peer.name, figures, note)


def recovery(subject: Subject, profile: str, allowed_s: float) -> dict[str, float]:
    """Seconds from the kill to the last second start, and how many there were. Raises ``NotInTime``."""
    with Server() as server, subject.open(server) as session:
        create(server.marks, HELD)
        session.fill(HELD)
        session.await_ready(HELD)
        held = Marks(server.marks)
        with session.worker(profile, holds=True) as worker:
            _hold(held, worker)
            create(server.marks, HELD)
            killed_s = time.time()
            worker.kill()
        return _rescued(server, session, profile, held.started(), killed_s, allowed_s)


def _hold(marks: Marks, worker: Process) -> None:
    """Until it holds all, or as many as it takes at once."""
    await_started(marks, 1, HOLD_S, worker)
    until, last = time.monotonic() + 2, 0
    while marks.started() < HELD and time.monotonic() < until:
        if marks.started() > last:
            until, last = time.monotonic() + 2, marks.started()
        time.sleep(0.02)


def _rescued(server: Server, session: Session, profile: str, held: int, killed_s: float, allowed_s: float) -> dict[str, float]:
    marks = Marks(server.marks)
    with session.worker(profile) as other:
        try:
            await_started(marks, HELD, allowed_s, other)
        except NotInTime:
            return {"delivered": float(marks.started()), "held": float(held)}
    return {"seconds": max(marks.starts_us()) / 1e6 - killed_s, "delivered": float(HELD), "held": float(held)}
