"""B5: memory of the server for each message that waits, and of our processes beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.marks import create
from benchmarks.plan import Found, Plan
from benchmarks.report.names import BARE_ZSET
from benchmarks.results import OURS, Line
from benchmarks.scenarios.watching import why
from benchmarks.server import Server
from benchmarks.subjects.limit import limit
from benchmarks.subjects.service import Service
from benchmarks.subjects.subject import FAR, Session, Subject

SMALL, LARGE = 100, 1024
SIZES = ((SMALL, 10_000), (LARGE, 10_000), (SMALL, 1_000_000), (LARGE, 1_000_000))
"""Bytes of a body, and how many. Ten million are weighed where growth is measured (B6)."""
PEERS_MOST = 10_000
SETTLE_S = 1.5
"""Until what was written has left the buffer of the append-only file, which counts as used memory."""
MIB = 2**20


def run(plan: Plan) -> Iterator[Found]:
    """Peers, and a million, in the first round only: nothing varies."""
    for number in plan.rounds():
        for size, count in SIZES:
            if count <= PEERS_MOST or (number == 0 and count <= plan.most_pending and not plan.quick):
                yield from _round(plan, size, count, first=number == 0)


def _round(plan: Plan, size: int, count: int, *, first: bool) -> Iterator[Found]:
    case = f"{'1-KiB' if size == LARGE else f'{size}-byte'} bodies, {count:,} pending"
    plan.doing(f"{BARE_ZSET}: {case}")
    with Server() as server:
        found = limit("bare", "--redis", server.url, "--count", str(count), "--bytes", str(size))
    yield Line(
        "B5", case, BARE_ZSET, {"bytes_per_message": found["bytes_per_message"]}, "members are the bodies, and nothing else"
    )
    plan.doing(f"this service: {case}")
    with Server() as server, Service().open(server) as session:
        create(server.marks, 1)
        figures = {"bytes_per_message": _bytes(server, session, size, count)}
        with session.worker("default") as worker:
            time.sleep(SETTLE_S)
            for name, process in (("producer", session.producer), ("dispatcher", session.dispatcher), ("worker", worker)):
                figures[f"{name}_mib"] = process.resident_bytes() / MIB
    yield Line("B5", case, OURS, figures)
    if size == SMALL and count == PEERS_MOST and first:
        for peer in plan.peers:
            plan.doing(f"{peer.name}: {case}")
            yield _peer(peer, case, size, count)


def _peer(peer: Subject, case: str, size: int, count: int) -> Line:
    with Server() as server, peer.open(server) as session:
        try:
            return Line("B5", case, peer.name, {"bytes_per_message": _bytes(server, session, size, count)})
        except RuntimeError as failed:
            return Line("B5", case, peer.name, {}, why(failed))


def _bytes(server: Server, session: Session, size: int, count: int) -> float:
    time.sleep(SETTLE_S)
    before = server.used_bytes()
    session.fill(count, size, due=FAR)
    time.sleep(SETTLE_S)
    return (server.used_bytes() - before) / count
