"""Judges flow control: no more different messages of a flow key run at once than it may, as far as their runs are sure.

A caller's name of a message with a flow key ends in ``@`` and what its key shares. A run counts from its start to its end where
nothing had hit its worker meanwhile: what a frozen worker goes on with has been given to another.
"""

from __future__ import annotations

from collections import defaultdict

from tests.chaos.broken import FOR_EVER_US
from tests.chaos.excuses import explanation, undone
from tests.chaos.timeline import Ran, Timeline
from tests.chaos.verdict import Verdict


def judge_crowding(line: Timeline, verdict: Verdict) -> None:
    if not line.rules.flow_concurrency:
        return
    runs = defaultdict[str, list[Ran]](list)
    for run in line.runs:
        _, named, flow_key = run.start.ref.partition("@")
        if named and _is_sure(run, line):
            runs[flow_key].append(run)
    for flow_key, of_key in runs.items():
        _judge_key(flow_key, of_key, line.rules.flow_concurrency, verdict)


def _is_sure(run: Ran, line: Timeline) -> bool:
    return run.end is not None and not run.hung and not explanation(run, FOR_EVER_US, line) and not undone(run, FOR_EVER_US, line)


def _judge_key(flow_key: str, runs: list[Ran], most: int, verdict: Verdict) -> None:
    changes = [(run.start.at_us, 1, run.start.ref) for run in runs] + [(run.over_us, 0, run.start.ref) for run in runs]
    at_work: set[str] = set()
    for at_us, starts, ref in sorted(changes):  # of one microsecond the ends come first
        if not starts:
            at_work.discard(ref)
            continue
        at_work.add(ref)
        if len(at_work) > most:
            text = f"{len(at_work)} of {flow_key} run at once at {at_us / 1e6:.6f}: {', '.join(sorted(at_work))}"
            verdict.violate("crowded", ref, text)
            return
