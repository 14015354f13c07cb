"""``python -m tests.chaos.summary FOLDER ...``: judges the histories of earlier runs again; one table of all, in Markdown."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.chaos.checker import judge
from tests.chaos.history import Fault, History
from tests.chaos.run import about, load
from tests.chaos.verdict import Verdict

DUPLICATES = ("overlap", "repeated", "duplicate")


def summary(folders: list[Path]) -> Iterator[str]:
    """Line by line: the runs, what explains second deliveries, the faults by kind."""
    judged = [(about(folder), load(folder)) for folder in folders]
    verdicts = [(run, history, judge(history)) for run, history in judged]
    yield "| on | appendfsync | durability | seed | s | messages | runs | faults | lost | early | duplicates | other | undone |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for run, history, verdict in verdicts:
        faults = sum(1 for event in history.events if isinstance(event, Fault))
        words = (run.form, run.appendfsync, run.durability, run.seed, f"{run.seconds:.0f}")
        yield f"| {' | '.join(map(str, (*words, verdict.accepted, verdict.runs, faults, *_counts(verdict))))} |"
    everything = [verdict for _, _, verdict in verdicts]
    yield ""
    for title, counters in (
        ("second deliveries, explained", [one.explained for one in everything]),
        ("allowed, and counted", [one.allowed for one in everything]),
        ("undone by the store", [one.undone for one in everything]),
        ("messages by their end", [one.ends for one in everything]),
    ):
        total = sum(counters, Counter[str]())
        yield f"- {title}: {', '.join(f'{count:,} {name}' for name, count in total.most_common()) or 'none'}"
    yield ""
    yield from _faults([history for _, history, _ in verdicts])


def _counts(verdict: Verdict) -> tuple[object, ...]:
    unexplained = sum(1 for one in verdict.violations if one.kind in DUPLICATES)
    other = sum(1 for one in verdict.violations if one.kind not in {*DUPLICATES, "lost", "early"})
    duplicates = f"{verdict.explained.total()} explained, {unexplained} not"
    return verdict.count("lost"), verdict.count("early"), duplicates, other, verdict.undone.total()


def _faults(histories: list[History]) -> Iterator[str]:
    """By kind: how many, how long at most, and how soon after its mending all was well again, where none overlapped it."""
    of_kind = defaultdict[str, list[Fault]](list)
    for history in histories:
        for event in history.events:
            if isinstance(event, Fault):
                of_kind[event.kind].append(event)
    yield "| fault | times | broken for at most | well again after: median | most |"
    yield "|---|---|---|---|---|"
    for kind, faults in sorted(of_kind.items()):
        longest_s = max(fault.until_us - fault.at_us for fault in faults) / 1e6
        times_s = [(fault.recovered_us - fault.until_us) / 1e6 for fault in faults if fault.recovered_us]
        again = f"{median(times_s):.2f} s | {max(times_s):.2f} s" if times_s else "not measured |"
        yield f"| {kind} | {len(faults)} | {longest_s:.2f} s | {again} |"


if __name__ == "__main__":
    for line in summary([Path(name) for name in sys.argv[1:]]):
        print(line)
