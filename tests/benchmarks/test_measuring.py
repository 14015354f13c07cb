"""What the benchmark's figures stand on: marks, percentiles, latenesses, results that come back from their file."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from benchmarks import marks
from benchmarks.lateness_figures import lateness_figures, latenesses_ms, percentile, quantiles
from benchmarks.marks import Marks, body_of
from benchmarks.results import Line, Results, load, save, spread


def _mark(path: Path, numbers: range) -> None:
    mine = Marks(path)
    for number in numbers:
        mine.start(body_of(number))


def test_processes_share_the_marks(tmp_path: Path) -> None:
    """What several processes mark is there for whoever looks, once each, with its time."""
    file, before_us = tmp_path / "marks", time.time_ns() // 1000
    marks.create(file, 3000)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_mark, args=(file, range(start, 3000, 3))) for start in range(2)]
    for one in others:
        one.start()
    for one in others:
        one.join(30)

    seen = Marks(file)
    assert (seen.started(), seen.repeats()) == (2000, 0)
    starts = seen.starts_us()
    assert all((starts[number] == 0) == (number % 3 == 2) for number in range(3000))
    assert all(before_us <= one <= time.time_ns() // 1000 for one in starts if one)


def test_the_first_start_counts_and_others_are_repeats(tmp_path: Path) -> None:
    """A message that is started again keeps its first time."""
    marks.create(tmp_path / "marks", 2)
    mine = Marks(tmp_path / "marks")
    mine.start(body_of(1))
    first = mine.starts_us()[1]

    for _ in range(300):
        mine.start(body_of(1).encode())

    assert mine.starts_us()[1] == first
    assert (mine.started(), mine.repeats()) == (1, 254)


def test_whoever_has_old_marks_does_not_see_new_ones(tmp_path: Path) -> None:
    """A worker of the run before cannot mark anything in the next."""
    marks.create(tmp_path / "marks", 2)
    old = Marks(tmp_path / "marks")
    marks.create(tmp_path / "marks", 2)

    old.start(body_of(0))

    assert Marks(tmp_path / "marks").started() == 0


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_percentiles_are_values_that_were_measured(share: float, value: float) -> None:
    """The smallest value that so many do not exceed (nearest rank)."""
    assert percentile([float(number) for number in range(1, 101)], share) == value
    assert percentile([7.0], share) == 7.0


def test_lateness_is_start_minus_due_time() -> None:
    """Messages at 200/s: 5 ms apart, in whole milliseconds; early ones are negative."""
    starts_us = [1_000_000, 1_006_500, 1_009_000]

    ordered = latenesses_ms(starts_us, 1_000, 200)

    assert ordered == [-1.0, 0.0, 1.5]
    assert (lateness_figures(ordered)["earliest_ms"], lateness_figures(ordered)["max_ms"]) == (-1.0, 1.5)
    assert quantiles(ordered, 3) == (-1.0, 0.0, 1.5)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    """Whatever was measured is rendered from the file alone."""
    lines = [Line("B1", "a case", "a subject", {"messages_per_s": value}) for value in (3.0, 1.0, 2.0)]
    results = Results("B1", "2026-11-24T00:00:00+00:00", 1.5, quick=False, machine={}, versions={}, settings={}, lines=lines)

    save(results, tmp_path)

    (back,) = load(tmp_path)
    assert back == results
    assert spread(back.lines, "a case", "a subject", "messages_per_s") == (2.0, 1.0, 3.0, 3)
    assert spread(back.lines, "a case", "a stranger", "messages_per_s") is None
