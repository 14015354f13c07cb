"""``python -m benchmarks``: runs the benchmarks, keeps their figures, and writes the page about them."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.environments import ROOT, NotInstalled, environment
from benchmarks.machine import machine, package_versions
from benchmarks.plan import Plan, Scenario
from benchmarks.report.write import write
from benchmarks.results import OURS, Distribution, Line, Results, save
from benchmarks.scenarios import accept, computing, drain, growth, herd, lateness, memory, recovery, webhooks
from benchmarks.subjects.peer import PEERS, Peer
from benchmarks.subjects.service import ABOUT as ABOUT_OURS

SCENARIOS: dict[str, Scenario] = {
    "B1": drain.run,
    "B2": lateness.run,
    "B3": herd.run,
    "B4": accept.run,
    "B5": memory.run,
    "B6": growth.run,
    "B7": recovery.run,
    "B8": computing.run,
    "B9": webhooks.run,
}
OUT_OF_QUICK = ("B5", "B6", "B7", "B8", "B9")
"""What a quick run leaves out where nothing is named."""
QUICK_PEERS = ("bullmq", "taskiq")
RUNS = 3
SECONDS, QUICK_SECONDS = 30, 4
BYTES_PER_PENDING = 1_000
"""With its rewritten file and what is copied meanwhile: so many messages may wait as fit into half of the memory."""
FOLDER = ROOT / "benchmarks" / "results"
ENVIRONMENTS = ROOT / ".bench"


def main() -> None:
    options = _options()
    names = options.only or [name for name in SCENARIOS if not (options.quick and name in OUT_OF_QUICK)]
    console = Console(stderr=True)
    described: dict[str, dict[str, object]] = {}
    peers = _peers(options.peers if options.peers is not None else QUICK_PEERS if options.quick else PEERS, console, described)
    about, versions = machine(), {**package_versions(), **{name: str(one["version"]) for name, one in described.items()}}
    settings = {OURS: ABOUT_OURS, **{name: _settings(one) for name, one in described.items()}}
    with _progress(console) as progress:
        for name in names:
            task = progress.add_task(name, total=None, doing="")
            plan = Plan(
                peers,
                1 if options.quick else options.runs,
                options.quick,
                options.seconds,
                options.most_pending,
                partial(_tell, progress, task, console),
            )
            results = Results(
                name, datetime.now(UTC).isoformat(timespec="seconds"), 0.0, options.quick, about, versions, settings
            )
            started_s = time.monotonic()
            for found in SCENARIOS[name](plan):
                if isinstance(found, Distribution):
                    results.distributions.append(found)
                else:
                    results.lines.append(found)
                    console.print(_said(found), highlight=False)
            results.seconds = round(time.monotonic() - started_s, 1)
            save(results, options.results)
            progress.update(task, total=1, completed=1, doing=f"{results.seconds:.0f} s")
    if options.page:
        write(options.results, ROOT / "docs")
        console.print("written: docs/benchmarks.md")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="This service, its peers and its limits, measured.")
    parser.add_argument("only", nargs="*", choices=[[], *SCENARIOS], metavar="B1..B9", help="these benchmarks; all without")
    parser.add_argument(
        "--quick", action="store_true", help="under two minutes: smaller, once, two peers, without " + ", ".join(OUT_OF_QUICK)
    )
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each measurement ({RUNS})")
    parser.add_argument("--seconds", type=int, help=f"how long messages fall due in B2 ({SECONDS}; quick: {QUICK_SECONDS})")
    parser.add_argument("--most-pending", type=int, default=_most_pending(), help="where growth ends (as far as memory allows)")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, metavar="PEER", help="these peers; none without a name; all without this"
    )
    parser.add_argument(
        "--results", type=Path, help="where figures are kept (benchmarks/results; of a quick run, .bench/results)"
    )
    options = parser.parse_args()
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    options.page = options.results is None and not options.quick
    options.results = options.results or (ENVIRONMENTS / "results" if options.quick else FOLDER)
    return options


def _peers(names: list[str] | tuple[str, ...], console: Console, described: dict[str, dict[str, object]]) -> list[Peer]:
    """Those that can be installed here; the others are named and left out."""
    found = []
    for name in names:
        with console.status(f"{name}: its environment"):
            try:
                peer = Peer(environment(name, ENVIRONMENTS))
                described[name] = peer.describe()
            except (NotInstalled, RuntimeError) as error:
                console.print(f"[yellow]{name} is left out:[/] {error}", highlight=False)
                continue
        found.append(peer)
    return found


def _settings(described: dict[str, object]) -> str:
    """What a peer was set to and where that is documented, in one paragraph."""
    settings = described.get("settings")
    words = [f"{profile}: {text}" for profile, text in settings.items()] if isinstance(settings, dict) else []
    documented = described.get("documented_at")
    if isinstance(documented, list):
        words.append("documented at " + ", ".join(str(url) for url in documented))
    notes = described.get("notes")
    return ". ".join([*words, *([str(notes)] if notes else [])])


def _most_pending() -> int:
    return int(psutil.virtual_memory().available) // 2 // BYTES_PER_PENDING


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}"),
    )
    return Progress(*columns, console=console)


def _tell(progress: Progress, task: Any, console: Console, doing: str) -> None:
    progress.update(task, doing=doing)
    if not console.is_terminal:
        console.print(f"... {doing}", highlight=False)


def _said(line: Line) -> str:
    figures = "  ".join(f"{name} {value:,.2f}" for name, value in line.figures.items())
    return f"{line.benchmark}  {line.case}  {line.subject}:  {figures or line.note}"


if __name__ == "__main__":
    main()
