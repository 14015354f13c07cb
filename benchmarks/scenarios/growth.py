"""B6: what grows with what waits: accepting, draining, lateness at 1,000/s, the cost of one dispatch, the longest script.

Filling takes minutes, in which a machine that is shared becomes slower or faster by more than what is looked for. So each round
with many pending is followed by one with few, on a server of its own that is there all the time: only these two are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self

from benchmarks.lateness_figures import lateness_figures
from benchmarks.marks import create
from benchmarks.plan import Found, Plan
from benchmarks.report.names import LEAST, beside, pending
from benchmarks.results import OURS, Line
from benchmarks.scenarios.drain import drain
from benchmarks.scenarios.lateness import lateness_ms
from benchmarks.server import Server
from benchmarks.subjects.service import TOPIC, Running, Service
from benchmarks.subjects.subject import FAR
from shared.store.scripts import DISPATCH

STEPS = (100_000, 1_000_000, 10_000_000)
QUICK_MOST = 100_000
COUNT, QUICK_COUNT = 20_000, 5_000
RATE_PER_S = 1_000
SECONDS, QUICK_SECONDS = 10, 3
MIB = 2**20
SLOW_US = 500
"""From so long on, what holds the server is in its log of slow commands."""


def run(plan: Plan) -> Iterator[Found]:
    """A server that stays as it is, and one that fills up; all measurements at each step, as often as there are rounds."""
    most = min(plan.most_pending, plan.sized(plan.most_pending, QUICK_MOST))
    with _Filled() as few, _Filled() as many:
        few.fill(plan, LEAST)
        for _ in plan.rounds():
            yield few.line(plan, pending(LEAST))
        for step in (step for step in STEPS if step <= most):
            many.fill(plan, step)
            for _ in plan.rounds():
                yield many.line(plan, pending(step))
                yield few.line(plan, beside(pending(step)))


class _Filled:
    """The service on a server of its own, and how many messages wait there."""

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._server = opened.enter_context(
                Server(("--slowlog-log-slower-than", str(SLOW_US), "--slowlog-max-len", "100000"))
            )
            self._session = opened.enter_context(Service().open(self._server))
            self._empty_bytes = self._server.used_bytes()
            self._pending, self._weight = 0, dict[str, float]()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._opened.close()

    def fill(self, plan: Plan, count: int) -> None:
        """Until so many wait, and the append-only file is written anew: a cost of growing, not of being large."""
        plan.doing(f"this service: fills up to {count:,} pending")
        self._session.fill(count - self._pending, due=FAR)
        self._pending = count
        self._server.rewrite_file()
        self._weight = {
            "bytes_per_message": (self._server.used_bytes() - self._empty_bytes) / count,
            "producer_mib": self._session.producer.resident_bytes() / MIB,
            "dispatcher_mib": self._session.dispatcher.resident_bytes() / MIB,
        }

    def line(self, plan: Plan, case: str) -> Line:
        plan.doing(f"this service: {case}")
        return Line("B6", case, OURS, {**_measure(plan, self._server, self._session), **self._weight})


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
