"""What the service must reach, as data, and what the measured lines say about it. Every goal of the page stands here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmarks.report import names
from benchmarks.report.measures import Growth, Herd, Measure, Measured, Own, Ratio, Recovery
from benchmarks.report.text import number, spread_text
from benchmarks.results import Line, Results

Outcome = Literal["reached", "missed", "not measured"]
PERCENTILES = ("p50_ms", "p90_ms", "p99_ms", "p999_ms")
_QUIET = (names.lateness_case("200/s", names.NONE_PENDING),)
_BUSY = (names.lateness_case("1,000/s", names.MANY_PENDING),)
_TEN = (names.TEN_MILLION,)
_LATENESS = ("p50_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Goal:
    """One bound. Judged by the worst of its comparisons, each by its median, or by its worst run where ``every_run`` says so."""

    benchmark: str
    what: str
    sense: Literal["at least", "at most", "below"]
    bound: float
    unit: str
    """``x`` for a ratio."""
    measure: Measure
    every_run: bool = False

    @property
    def text(self) -> str:
        return f"{self.what}: {self.sense} {self.bound:.3g} {self.unit}"

    def judged_by(self, measured: Measured) -> float:
        if self.every_run:
            return measured.spread.least if self.sense == "at least" else measured.spread.most
        return measured.spread.median

    def holds(self, value: float) -> bool:
        if self.sense == "at least":
            return value >= self.bound
        return value < self.bound if self.sense == "below" else value <= self.bound


GOALS = (
    Goal("B1", "messages/s against bullmq", "at least", 3, "x", Ratio(("messages_per_s",), (names.DRAIN,), ("bullmq",))),
    Goal("B1", "messages/s against the best Python peer", "at least", 12, "x",
         Ratio(("messages_per_s",), (names.DRAIN,), names.PYTHON_PEERS)),
    Goal("B1", "messages/s against the read-ack-delete limit", "at least", 0.35, "x",
         Ratio(("messages_per_s",), (names.DRAIN,), (names.READ_ACK_DELETE,))),
    Goal("B1", "CPU per message, all processes and Redis, against bullmq", "at most", 1 / 3, "x",
         Ratio(("cpu_us_per_message",), (names.DRAIN,), ("bullmq",))),
    Goal("B2", "p50 at 1,000/s with 1,000,000 others pending", "at most", 1.5, "ms", Own("p50_ms", _BUSY)),
    Goal("B2", "p99 at 1,000/s with 1,000,000 others pending", "at most", 5, "ms", Own("p99_ms", _BUSY)),
    Goal("B2", "max at 1,000/s with 1,000,000 others pending", "at most", 50, "ms", Own("max_ms", _BUSY)),
    Goal("B2", "earliest start in every case and run", "at least", 0, "ms", Own("earliest_ms"), every_run=True),
    Goal("B2", "p50 to p99.9 at 200/s against each peer", "below", 1, "x", Ratio(PERCENTILES, _QUIET, names.PEERS)),
    Goal("B3", "last of 100,000 against what 0.8 of the drain rate allows", "at most", 1, "x", Herd(names.HERD, 100_000, 0.8)),
    Goal("B3", "p99 of other topics meanwhile", "at most", 20, "ms", Own("others_p99_ms", (names.HERD,))),
    Goal("B4", "requests/s one at a time against the smallest aiohttp app", "at least", 0.6, "x",
         Ratio(("requests_per_s",), (names.ONE_AT_A_TIME,), (names.SMALLEST_APP,))),
    Goal("B4", "p99 of the answers one at a time", "at most", 25, "ms", Own("p99_ms", (names.ONE_AT_A_TIME,))),
    Goal("B4", "messages/s in batches against pipelined writes", "at least", 0.6, "x",
         Ratio(("messages_per_s",), (names.BATCHES,), (names.PIPELINED_WRITES,))),
    Goal("B5", "bytes per pending message, 100-byte bodies, against a bare ZSET", "at most", 1.25, "x",
         Ratio(("bytes_per_message",), names.SMALL_BODIES, (names.BARE_ZSET,))),
    Goal("B5", "bytes per pending message, 100-byte bodies, against each peer", "below", 1, "x",
         Ratio(("bytes_per_message",), names.SMALL_BODIES, names.PEERS)),
    Goal("B6", "accepted/s up to 1,000,000 pending against 10,000", "at least", 0.75, "x",
         Growth(("accept_per_s",), names.UP_TO_A_MILLION)),
    Goal("B6", "drained/s up to 1,000,000 pending against 10,000", "at least", 0.75, "x",
         Growth(("drain_per_s",), names.UP_TO_A_MILLION)),
    Goal("B6", "p50 and p99 up to 1,000,000 pending against 10,000", "at most", 1.25, "x",
         Growth(_LATENESS, names.UP_TO_A_MILLION)),
    Goal("B6", "accepted/s with 10,000,000 pending against 10,000", "at least", 0.5, "x", Growth(("accept_per_s",), _TEN)),
    Goal("B6", "drained/s with 10,000,000 pending against 10,000", "at least", 0.5, "x", Growth(("drain_per_s",), _TEN)),
    Goal("B6", "p50 and p99 with 10,000,000 pending against 10,000", "at most", 1.5, "x", Growth(_LATENESS, _TEN)),
    Goal("B6", "longest script in every case and run", "at most", 5, "ms", Own("script_ms"), every_run=True),
    Goal("B7", "all delivered by another worker, lease of 5 s", "at most", 6, "s", Recovery("lease 5 s", 100)),
    Goal("B7", "all delivered by another worker, lease of 10 s", "at most", 11, "s", Recovery("lease 10 s", 100)),
    Goal("B9", "webhooks/s of a worker process", "at least", 500, "/s", Own("messages_per_s", (names.WEBHOOKS_NOW,))),
    Goal("B9", "p99 at 500/s to 100 hosts", "at most", 50, "ms", Own("p99_ms", (names.WEBHOOKS_HEALTHY,))),
    Goal("B9", "p99 of the others with one dead host, against without", "at most", 1.25, "x",
         Own("p99_ratio", (names.WEBHOOKS_DEAD,))),
)  # fmt: skip
"""Between 10,000 pending and many, "within 25 %" is a bound on what gets worse: fewer per second, or later."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A goal, and the worst comparison of those that were made."""

    goal: Goal
    measured: Measured | None
    comparisons: int

    @property
    def outcome(self) -> Outcome:
        if self.measured is None:
            return "not measured"
        return "reached" if self.goal.holds(self.goal.judged_by(self.measured)) else "missed"

    @property
    def measured_text(self) -> str:
        if self.measured is None:
            return ""
        shown = spread_text(self.measured.spread, self.goal.unit if math.isfinite(self.measured.spread.median) else "")
        worst = f"worst of {self.comparisons}: " if self.comparisons > 1 else ""
        return f"{shown}; {worst}{self.measured.beside}" if self.measured.beside else shown

    @property
    def outcome_text(self) -> str:
        """With how much is missing, where the goal is missed."""
        if self.measured is None or self.outcome == "reached":
            return self.outcome
        away = abs(self.goal.judged_by(self.measured) - self.goal.bound)
        if math.isinf(away):
            return "**missed**"
        if not self.goal.bound:
            return f"**missed** by {number(away)} {self.goal.unit}"
        return f"**missed** by {number(100 * away / self.goal.bound, digits=2)} %"


def judge(results: list[Results]) -> list[Judged]:
    """Every goal, in their order. Compared are only lines of the same run."""
    lines = {one.benchmark: one.lines for one in results}
    return [_judge(goal, lines.get(goal.benchmark, [])) for goal in GOALS]


def _judge(goal: Goal, lines: list[Line]) -> Judged:
    found = goal.measure.of(lines)
    if not found:
        return Judged(goal, None, 0)
    worst = (min if goal.sense == "at least" else max)(found, key=goal.judged_by)
    return Judged(goal, worst, len(found))
