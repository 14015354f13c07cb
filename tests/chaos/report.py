"""What a run tells at its end, for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import median

from tests.chaos.history import Fault, History
from tests.chaos.verdict import Kind, Verdict

SHOWN = 20
"""Most violations that are printed whole."""
_DUPLICATES: tuple[Kind, ...] = ("overlap", "repeated", "duplicate")
_NAMED = {*_DUPLICATES, "lost", "early"}
"""Kinds with a line of their own."""


def report(history: History, verdict: Verdict) -> Iterator[str]:
    """Line by line."""
    faults = [event for event in history.events if isinstance(event, Fault)]
    yield f"messages   {verdict.accepted} accepted, {verdict.runs} runs, {verdict.retries} retries; {_counts(verdict.ends)}"
    yield f"faults     {len(faults)}: {_counts(Counter(fault.kind for fault in faults))}"
    yield f"lost       {verdict.count('lost')}"
    yield f"early      {verdict.count('early')}"
    explained = f"{verdict.explained.total()} explained ({_counts(verdict.explained)})"
    yield f"duplicates {explained}, {verdict.count(*_DUPLICATES)} unexplained"
    yield f"allowed    {_counts(verdict.allowed)}"
    yield f"undone     {_counts(verdict.undone)} (by the store)"
    yield f"other      {_counts(Counter(one.kind for one in verdict.violations if one.kind not in _NAMED))}"
    yield from _recoveries(faults)
    for violation in verdict.violations[:SHOWN]:
        yield f"VIOLATION  {violation.kind}: {violation.ref}: {violation.text}"
    if len(verdict.violations) > SHOWN:
        yield f"VIOLATIONS {len(verdict.violations)} in all"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "none"


def _recoveries(faults: list[Fault]) -> Iterator[str]:
    """By kind of fault: how long it lasted at most, and how long after its mending all was well again."""
    lasted, recovered = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for fault in faults:
        lasted[fault.kind].append((fault.until_us - fault.at_us) / 1e6)
        if fault.recovered_us:
            recovered[fault.kind].append((fault.recovered_us - fault.until_us) / 1e6)
    longest = max((fault.until_us - fault.at_us for fault in faults if not fault.targets), default=0)
    yield f"longest    outage of the store {longest / 1e6:.1f} s"
    yield "recovery   kind of fault          broken for at most   well again after (median, most)"
    for kind in sorted(lasted):
        times = recovered[kind]
        after = f"{median(times):5.2f} s, {max(times):5.2f} s" if times else "not measured: others overlapped"
        yield f"           {kind:22} {max(lasted[kind]):12.2f} s       {after}"
