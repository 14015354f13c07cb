"""B6: what grows with what waits: accepting, draining, lateness at 1,000/s, the cost of one dispatch, the longest script."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.lateness_figures import lateness_figures
from benchmarks.marks import create
from benchmarks.plan import Found, Plan
from benchmarks.results import OURS, Line
from benchmarks.scenarios.drain import drain
from benchmarks.scenarios.lateness import lateness_ms
from benchmarks.server import Server
from benchmarks.subjects.service import TOPIC, Running, Service
from benchmarks.subjects.subject import FAR
from shared.store.scripts import DISPATCH

STEPS = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK_MOST = 100_000
COUNT, QUICK_COUNT = 20_000, 5_000
RATE_PER_S = 1_000
SECONDS, QUICK_SECONDS = 10, 3
MIB = 2**20
SLOW_US = 500
"""From so long on, what holds the server is in its log of slow commands."""


def run(plan: Plan) -> Iterator[Found]:
    """One server that fills up, with all measurements at each step, as often as there are rounds."""
    most = min(plan.most_pending, plan.sized(plan.most_pending, QUICK_MOST))
    with (
        Server(("--slowlog-log-slower-than", str(SLOW_US), "--slowlog-max-len", "100000")) as server,
        Service().open(server) as session,
    ):
        pending, empty_bytes = 0, server.used_bytes()
        for step in (step for step in STEPS if step <= most):
            plan.doing(f"this service: fills up to {step:,} pending")
            session.fill(step - pending, due=FAR)
            pending = step
            _let_settle(server)
            weight = _weight(server, session, step, empty_bytes)
            for _ in plan.rounds():
                plan.doing(f"this service: {step:,} pending")
                yield Line("B6", f"{step:,} pending", OURS, {**_measure(plan, server, session), **weight})


def _weight(server: Server, session: Running, pending: int, empty_bytes: int) -> dict[str, float]:
    """What is pending takes so much of the server's memory, and so much have the processes."""
    return {
        "bytes_per_message": (server.used_bytes() - empty_bytes) / pending,
        "producer_mib": session.producer.resident_bytes() / MIB,
        "dispatcher_mib": session.dispatcher.resident_bytes() / MIB,
    }


def _let_settle(server: Server) -> None:
    """Until the append-only file is not being rewritten: that is a cost of growing, not of being large."""
    time.sleep(2)
    while server.client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.2)


def _measure(plan: Plan, server: Server, session: Running) -> dict[str, float]:
    server.client.slowlog_reset()
    server.client.config_resetstat()
    count = plan.sized(COUNT, QUICK_COUNT)
    create(server.marks, count)
    drained = drain(server, session, count)
    dispatch_us = _dispatch_us(server, session)
    ordered_ms = lateness_ms(server, session, RATE_PER_S, plan.sized(SECONDS, QUICK_SECONDS), ours=True)
    late = lateness_figures(ordered_ms)
    return {
        "accept_per_s": drained["fill_per_s"],
        "drain_per_s": drained["messages_per_s"],
        "p50_ms": late["p50_ms"],
        "p99_ms": late["p99_ms"],
        "max_ms": late["max_ms"],
        "earliest_ms": late["earliest_ms"],
        "dispatch_us": dispatch_us,
        "script_ms": _longest_script_us(server) / 1000,
    }


def _dispatch_us(server: Server, session: Running) -> float:
    """One call of the dispatch script that finds nothing due, as the server counts it: what looking costs."""
    keys = session.keys
    script = server.client.register_script(DISPATCH.text)
    arguments = {"keys": [keys.due(TOPIC), keys.index, keys.stream(TOPIC)], "args": [100, 100_000, "consumers"]}
    script(**arguments)
    before = _script_calls(server)
    for _ in range(200):
        script(**arguments)
    after = _script_calls(server)
    return (after[1] - before[1]) / (after[0] - before[0])


def _script_calls(server: Server) -> tuple[int, float]:
    found = server.client.info("commandstats")["cmdstat_evalsha"]
    return int(found["calls"]), float(found["usec"])


def _longest_script_us(server: Server) -> float:
    entries: list[dict[str, Any]] = server.client.slowlog_get(100_000)
    return max((float(one["duration"]) for one in entries if one["command"].startswith(b"EVALSHA")), default=float(SLOW_US))
