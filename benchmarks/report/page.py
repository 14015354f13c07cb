"""The page as Markdown: goals first, then each benchmark, then what it ran on. Every figure comes from the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.report.goals import Judged, judge
from benchmarks.report.layout import PICTURES, SECTIONS, Section
from benchmarks.report.notes import WHY_MISSED
from benchmarks.report.tables import tables
from benchmarks.report.text import bullets, grid, number, paragraph, plain
from benchmarks.results import Results

INTRODUCTION = (
    "Written by `make bench` from what it measured; changes by hand are lost with the next run. Every figure is the median of "
    "the runs with least and most, `median (least-most)`. Only figures of one table are compared: they were taken in one run, "
    "on one machine, with the append-only file on (`appendfsync everysec`), each subject with its documented best settings "
    "and one worker process. Best first; last come limits: what a part that the service stands on does bare."
)
COMMANDS = """```text
make bench                    all of it, and this page
make bench ONLY="B1 B4"       these alone; the others stay as they were measured
make bench QUICK=1            shortened, for trying out
```
"""
JUDGED = (
    "Each goal is a bound on a median, or on the worst run where it says every run. A ratio is that of two medians; its "
    "least and most are what any two of the runs would give. Ratios of growth are those of rounds measured in turn. Of several "
    "comparisons the worst decides and is shown."
)


def page(results: list[Results], pictures: set[str]) -> str:
    """All of it. ``pictures``: names of those that were drawn."""
    by_benchmark = {one.benchmark: one for one in results}
    lines = [
        "# Benchmarks",
        "",
        *paragraph(INTRODUCTION),
        *COMMANDS.splitlines(),
        "",
        *_goals(judge(results), [one.benchmark for one in results if one.quick]),
    ]
    for section in SECTIONS:
        lines += _section(section, by_benchmark.get(section.benchmark), pictures)
    lines += _surroundings(results)
    return "\n".join(lines).rstrip("\n") + "\n"


def _goals(judged: list[Judged], shortened: list[str]) -> Iterator[str]:
    counts = Counter(one.outcome for one in judged)
    yield from ("## Goals", "")
    counted = f"{counts['reached']} reached, {counts['missed']} missed, {counts['not measured']} not measured"
    yield from paragraph(f"{counted}, of {len(judged)}. {JUDGED}")
    if shortened:
        yield from paragraph(f"**Shortened, for trying out: {', '.join(shortened)}.** Their figures decide nothing.")
    rows = [[one.goal.benchmark, one.goal.text, one.measured_text or "-", one.outcome_text] for one in judged]
    yield from grid(["", "goal", "measured", "outcome"], rows)
    missed = [one.goal for one in judged if one.outcome == "missed"]
    yield from bullets(
        [f"{goal.benchmark}, {goal.what}: {plain(WHY_MISSED[goal.what])}" for goal in missed if goal.what in WHY_MISSED]
    )


def _section(section: Section, results: Results | None, pictures: set[str]) -> Iterator[str]:
    yield from (f"## {section.benchmark} {section.title}", "")
    yield from paragraph(section.does)
    if results is None:
        yield from paragraph("Not measured.")
        return
    yield from paragraph(_when(results))
    made = tables(section, results.lines)
    for table in made:
        if len(made) > 1:
            yield from (f"### {plain(table.title)}", "")
        yield from table.written()
    for name in section.pictures:
        if name in pictures:
            yield from (f"![{PICTURES[name]}](benchmarks/{name})", "")


def _when(results: Results) -> str:
    runs = Counter((line.case, line.subject) for line in results.lines).values()
    least, most = (min(runs), max(runs)) if runs else (0, 0)
    times = f"{least} to {most} times" if least != most else "once" if most == 1 else f"{most} times"
    quick = " **Shortened, for trying out.**" if results.quick else ""
    return f"Run {times} on {plain(results.started_at)}, in {number(results.seconds)} s.{quick}"


def _surroundings(results: list[Results]) -> Iterator[str]:
    """What each run took place on and with. A benchmark can be run again alone, so they may differ."""
    yield from ("## Machine", "", *_merged(results, "machine"))
    yield from ("## Versions", "", *_merged(results, "versions"))
    yield from ("## Settings", "", *_merged(results, "settings"))


def _merged(results: list[Results], kind: str) -> list[str]:
    """A row for each name and value, and of which benchmarks it is true."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in results:
        for pair in getattr(one, kind).items():
            found.setdefault(pair, []).append(one.benchmark)
    rows = [
        [plain(name), plain(value), "all" if len(true_of) == len(results) else ", ".join(true_of)]
        for (name, value), true_of in sorted(found.items())
    ]
    return grid(["", "", "in"], rows) or paragraph("Not measured.")
