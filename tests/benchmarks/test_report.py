"""From measured lines to the page: goals, tables, pictures' numbers. All figures here are made up."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.report import names
from benchmarks.report.curves import apart, early_part, lateness, nines
from benchmarks.report.goals import GOALS, Judged, judge
from benchmarks.report.layout import PICTURES, SECTIONS
from benchmarks.report.notes import WHY_MISSED
from benchmarks.report.page import page
from benchmarks.report.tables import tables
from benchmarks.report.text import number, plain, spread_text
from benchmarks.report.write import write
from benchmarks.results import OURS, Distribution, Line, Results, Spread, save

SECTION = {section.benchmark: section for section in SECTIONS}
BUSY = names.lateness_case("1,000/s", names.MANY_PENDING)
QUIET = names.lateness_case("200/s", names.NONE_PENDING)


def results(benchmark: str, *lines: tuple[str, str, dict[str, float]], note: str = "", quick: bool = False) -> Results:
    """Lines as (case, subject, figures)."""
    made = [Line(benchmark, case, subject, figures, note) for case, subject, figures in lines]
    surroundings = ({"cores": "2"}, {"bullmq": "5.0"}, {"bullmq": "hz 100 | \u00b5"})
    return Results(benchmark, "2025-11-24T19:04:00Z", 61.2, quick, *surroundings, made)


def judged(measured: Results, what: str) -> Judged:
    """The one goal of that benchmark whose text begins so."""
    (found,) = [
        one for one in judge([measured]) if (one.goal.benchmark, one.goal.what[: len(what)]) == (measured.benchmark, what)
    ]
    return found


def written(measured: Results) -> str:
    """All tables of a benchmark."""
    return "\n".join(line for table in tables(SECTION[measured.benchmark], measured.lines) for line in table.written())


@pytest.mark.parametrize(
    ("ours", "outcome"), [((30_000.0, 31_000.0, 29_000.0), "reached"), ((20_000.0, 24_000.0, 40_000.0), "**missed** by 20 %")]
)
def test_a_ratio_is_that_of_medians(ours: tuple[float, ...], outcome: str) -> None:
    """No single run decides; least and most are what any two of the runs would give."""
    measured = results("B1", *[(names.DRAIN, OURS, {"messages_per_s": one}) for one in ours],
                       *[(names.DRAIN, "bullmq", {"messages_per_s": one}) for one in (9_000.0, 10_000.0, 11_000.0)])  # fmt: skip

    found = judged(measured, "messages/s against bullmq")

    assert found.outcome_text == outcome
    assert found.measured
    assert found.measured.spread == Spread(sorted(ours)[1] / 10_000, min(ours) / 11_000, max(ours) / 9_000, 3)


def test_the_best_python_peer_is_found() -> None:
    """Against it, not against the first or the last; bullmq is none."""
    peers = {"bullmq": 9_000.0, "arq": 1_000.0, "taskiq": 3_000.0, "rq": 300.0}
    measured = results("B1", (names.DRAIN, OURS, {"messages_per_s": 30_000.0}),
                       *[(names.DRAIN, peer, {"messages_per_s": rate}) for peer, rate in peers.items()])  # fmt: skip

    found = judged(measured, "messages/s against the best Python peer")

    assert found.measured_text == "10 x; worst of 3: 30,000 against 3,000 of taskiq"
    assert found.outcome_text == "**missed** by 17 %"


def test_nothing_measured_reaches_nothing() -> None:
    """No goal is reached or missed by what is not there: no results, no lines, no peers, no figures."""
    alone = results("B1", (names.DRAIN, OURS, {"messages_per_s": 30_000.0}), (names.DRAIN, "bullmq", {}))

    assert {one.outcome for one in judge([])} == {"not measured"}
    assert {one.outcome for one in judge([results("B2")])} == {"not measured"}
    assert {one.outcome for one in judge([alone])} == {"not measured"}


def test_one_early_start_in_one_run_misses_the_goal() -> None:
    """Never early is not a matter of medians."""
    starts = [(BUSY, 0.2), (BUSY, -0.5), (BUSY, 0.1), (QUIET, 0.3)]
    measured = results("B2", *[(case, OURS, {"earliest_ms": earliest}) for case, earliest in starts])

    found = judged(measured, "earliest start")

    assert found.outcome_text == "**missed** by 0.500 ms"


def test_below_every_peer_means_at_every_percentile() -> None:
    """One percentile of one peer is enough to miss; being early is no merit."""
    ours = {"p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0, "p999_ms": 4.0}
    others = {
        "celery": {"p50_ms": 0.8, "p99_ms": 9.0},
        "arq": {"p50_ms": 7.0, "p90_ms": 9.0, "p99_ms": 12.0, "p999_ms": 14.0},
        "rq": {"p50_ms": -100.0},
    }
    measured = results("B2", (QUIET, OURS, ours), *[(QUIET, peer, figures) for peer, figures in others.items()])

    found = judged(measured, "p50 to p99.9")

    assert found.outcome_text == "**missed** by 25 %"
    assert found.comparisons == 6
    assert "1 against 0.800 of celery (p50, ms)" in found.measured_text


@pytest.mark.parametrize(("last_ms", "outcome"), [(2_500.0, "reached"), (5_000.0, "**missed** by 60 %")])
def test_the_herd_is_held_against_the_drain_rate_of_its_run(last_ms: float, outcome: str) -> None:
    """100,000 at 0.8 of 40,000 per second are 3.125 s."""
    measured = results("B3", (names.HERD, OURS, {"last_ms": last_ms, "drain_per_s": 40_000.0}))

    assert judged(measured, "last of 100,000").outcome_text == outcome


def test_growth_needs_the_largest_case() -> None:
    """What was measured up to 100,000 says nothing about 1,000,000."""
    more, many = (
        (("100,000 pending", OURS, {"accept_per_s": 900.0}), (names.beside("100,000 pending"), OURS, {"accept_per_s": 1_000.0})),
        (
            ("1,000,000 pending", OURS, {"accept_per_s": 700.0}),
            (names.beside("1,000,000 pending"), OURS, {"accept_per_s": 1_000.0}),
        ),
    )

    assert judged(results("B6", *more), "accepted/s up to").outcome == "not measured"
    assert judged(results("B6", *more, *many), "accepted/s up to").outcome_text == "**missed** by 6.7 %"


def test_growth_compares_rounds_that_were_measured_in_turn() -> None:
    """A machine that becomes half as fast in between makes both of a pair slow, and is not what grows."""
    million = "1,000,000 pending"
    lines = [
        (case, OURS, {"accept_per_s": rate})
        for many, few in ((800.0, 1_000.0), (400.0, 500.0), (1_600.0, 2_000.0))
        for case, rate in ((million, many), (names.beside(million), few))
    ]
    same = [("100,000 pending", OURS, {"accept_per_s": 1.0}), (names.beside("100,000 pending"), OURS, {"accept_per_s": 1.0})]

    found = judged(results("B6", *lines, *same), "accepted/s up to")

    assert (found.outcome, found.measured_text[:18]) == ("reached", "0.800 x; worst of ")


def test_a_worker_whose_messages_never_come_back_misses() -> None:
    """Not delivered within the time allowed, or not all of them, is not the same as not measured."""
    good = ("lease 5 s", OURS, {"seconds": 5.5, "delivered": 100.0})

    assert judged(results("B7", good, good, good), "all delivered by another worker, lease of 5 s").outcome == "reached"
    for figures in ({"delivered": 40.0}, {}, {"seconds": 3.0, "delivered": 99.0}):
        found = judged(results("B7", good, good, ("lease 5 s", OURS, figures)), "all delivered by another worker, lease of 5 s")
        assert found.outcome_text == "**missed**"
        assert found.measured_text == "never (5.50 to never); not all delivered within the time allowed in 1 of 3 runs"


def test_a_better_peer_is_bold_and_named() -> None:
    """In its cell, and in words under the table; a limit competes with nobody."""
    measured = results("B1",
                       (names.DRAIN, "taskiq", {"messages_per_s": 3_000.0, "fill_per_s": 3_100.0}),
                       (names.DRAIN, "bullmq", {"messages_per_s": 13_000.0, "fill_per_s": 22_000.0}),
                       (names.DRAIN, names.READ_ACK_DELETE, {"messages_per_s": 104_000.0}),
                       (names.DRAIN_IN_USE, OURS, {"messages_per_s": 30_000.0, "fill_per_s": 15_000.0}),
                       (names.DRAIN, OURS, {"messages_per_s": 40_000.0, "fill_per_s": 20_000.0}))  # fmt: skip

    assert written(measured).splitlines()[:9] == [
        "|  | messages/s | filled/s |",
        "| --- | ---: | ---: |",
        "| **this service** | 40,000 | 20,000 |",
        f"| **this service, {names.DRAIN_IN_USE}** | 30,000 | 15,000 |",
        "| bullmq | 13,000 | **22,000** |",
        "| taskiq | 3,000 | 3,100 |",
        "| limit: read-ack-delete | 104,000 | n/a |",
        "",
        "**Better than this service** (in bold): bullmq (filled/s: 22,000 against 20,000).",
    ]


def test_less_is_better_where_it_is() -> None:
    """Lateness and memory are sorted and compared the other way round; what is missing comes last, with its note."""
    measured = results("B2", (QUIET, "huey", {"p99_ms": 993.0}), (QUIET, "arq", {}), (QUIET, "celery", {"p99_ms": 2.0}),
                       (QUIET, OURS, {"p99_ms": 3.0, "earliest_ms": 0.1}), note="so | and `so`")  # fmt: skip

    rows = [line.split(" | ")[0].strip("| *") for line in written(measured).splitlines() if line.startswith("|")][2:]

    assert rows == ["celery", OURS, "huey", "arq"]
    assert "| celery | **2** | n/a |" in written(measured)
    assert "- arq: so / and 'so'" in written(measured)


def test_who_was_early_is_called_so() -> None:
    """With the least of all runs."""
    measured = results("B2", *[(QUIET, "rq", {"p99_ms": 1_235.0, "earliest_ms": one}) for one in (-600.0, -623.0, 2.0)],
                       (QUIET, OURS, {"p99_ms": 3.0, "earliest_ms": 0.1}))  # fmt: skip

    assert "| -600 (-623 to 2) early |" in written(measured)


def test_memory_is_one_table_with_a_column_for_each_case() -> None:
    """And the processes of the service in a second."""
    first, second = names.SMALL_BODIES[:2]
    measured = results("B5", (first, OURS, {"bytes_per_message": 240.0, "worker_mib": 58.0}),
                       (second, OURS, {"bytes_per_message": 239.0, "worker_mib": 59.0}),
                       (first, "huey", {"bytes_per_message": 230.0}), (second, "rq", {}))  # fmt: skip

    assert written(measured).splitlines()[:6] == [
        f"|  | {first} | {second} |",
        "| --- | ---: | ---: |",
        "| huey | **230** | n/a |",
        "| **this service** | 240 | 239 |",
        "| rq | n/a | n/a |",
        "",
    ]
    assert f"| {second} | 59 |" in written(measured)


def test_recovery_compares_what_was_set_alike() -> None:
    """A lease of 5 s with peers set to 5 s, the default lease with their defaults."""
    measured = results("B7", ("lease 5 s", OURS, {"seconds": 5.4}), ("lease 10 s", OURS, {"seconds": 10.4}),
                       ("set to 5 s", "docket", {"seconds": 6.2}), ("defaults", "bullmq", {"seconds": 60.0}))  # fmt: skip

    made = {table.title: [row.label for row in table.rows] for table in tables(SECTION["B7"], measured.lines)}

    assert made == {"set to 5 s": ["docket", "this service, lease 5 s"], "defaults": ["bullmq", "this service, lease 10 s"]}


def test_the_page_is_written_without_any_results(tmp_path: Path) -> None:
    """It says that nothing was measured, and obeys the rules of all pages."""
    file = write(tmp_path / "none", tmp_path / "docs")

    text = file.read_text()
    assert f"0 reached, 0 missed, {len(GOALS)} not measured" in text
    assert text.count("Not measured.") == len(SECTIONS) + 3
    assert "![" not in text
    _is_plain_and_narrow(text)


def test_the_page_is_written_from_what_was_saved(tmp_path: Path) -> None:
    """With when each was run, with a warning where it was shortened, and links to no picture but those that are there."""
    save(results("B1", (names.DRAIN, OURS, {"messages_per_s": 40_000.0}), note="\u00b5" + " long" * 60), tmp_path / "results")
    save(results("B3", (names.HERD, OURS, {"last_ms": 2_500.0, "drain_per_s": 40_000.0}), quick=True), tmp_path / "results")

    text = write(tmp_path / "results", tmp_path / "docs").read_text()

    assert "Run once on 2025-11-24T19:04:00Z, in 61.2 s. **Shortened, for trying out.**" in text
    assert "**Shortened, for trying out: B3.**" in text
    assert "| B3 | last of 100,000 against what 0.8 of the drain rate allows: at most 1 x | 0.800 x;" in text
    assert "| bullmq | hz 100 / u | all |" in text
    assert all((tmp_path / "docs" / target).exists() for target in re.findall(r"!\[.*\]\((.*)\)", text))
    _is_plain_and_narrow(text)


def _is_plain_and_narrow(text: str) -> None:
    assert text.isascii()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert [line for line in text.splitlines() if len(line) > 130 and not line.startswith("|")] == []


def test_what_differs_between_runs_says_of_which_it_is_true() -> None:
    """A benchmark that was run again alone may have had another machine."""
    first, second = results("B1"), results("B2")
    second.machine = {"cores": "4"}

    text = page([first, second], set())

    assert "| cores | 2 | B1 |" in text
    assert "| cores | 4 | B2 |" in text
    assert "| bullmq | 5.0 | all |" in text


def test_every_note_and_picture_has_its_place() -> None:
    """A note of a goal that is gone, or a picture of no section, would never be seen."""
    assert set(WHY_MISSED) <= {goal.what for goal in GOALS}
    assert {name for section in SECTIONS for name in section.pictures} == set(PICTURES)
    assert {goal.benchmark for goal in GOALS} <= set(SECTION)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (13_042, "13,000"),
        (99.96, "100"),
        (41.68, "41.7"),
        (1.234, "1.23"),
        (0.0352, "0.0352"),
        (0, "0"),
        (-623.4, "-623"),
        (5, "5"),
    ],
)
def test_numbers_have_few_digits(value: float, shown: str) -> None:
    """Three that matter, and thousands set apart."""
    assert number(value) == shown


def test_a_spread_shows_what_differs() -> None:
    """The median alone where nothing does."""
    assert spread_text(Spread(2, 1, 3, 3), "ms") == "2 ms (1-3)"
    assert spread_text(Spread(2, 1.999, 2.001, 3), "x") == "2 x"
    assert spread_text(Spread(2, -1, 3, 3)) == "2 (-1 to 3)"


def test_words_of_others_mean_nothing_to_markdown() -> None:
    """Nor do they leave ASCII or their line."""
    assert plain("a | b\n`c` [d](e) <f> \u2013 \u2265 \u00b5s \u4e00") == "a / b 'c' [d] (e) &lt;f> - >= us ?"


def test_a_curve_is_the_median_of_its_runs() -> None:
    """Between quantiles it is a straight line; at its end stands the most."""
    runs = [Distribution("B2", QUIET, OURS, tuple(float(factor * one) for one in range(1001))) for factor in (1, 3, 2)]

    curve = lateness(runs, QUIET, OURS)

    assert len(curve) == len(nines()) + 1
    assert curve[0] == 0
    assert curve[40] == pytest.approx(1800)
    assert curve[-1] == 2000
    assert lateness(runs, QUIET, "arq") == []


def test_the_early_part_is_counted() -> None:
    """Over all runs."""
    runs = [Distribution("B2", QUIET, "rq", (-2.0, -1.0, 0.0, 1.0)), Distribution("B2", QUIET, "rq", (0.0, 1.0, 2.0, 3.0))]

    assert early_part(runs, QUIET, "rq") == 0.25
    assert early_part(runs, QUIET, OURS) == 0


def test_labels_are_set_apart_in_their_order() -> None:
    """Those that have room stay."""
    places = apart([5.0, 1.0, 1.1, 1.05], 0.5)

    assert places[0] == 5.0
    ordered = sorted(places)
    assert ordered == [places[1], places[3], places[2], places[0]]
    assert all(above - below > 0.49 for below, above in pairwise(ordered))


def test_pictures_are_drawn_of_what_there_is_and_small(tmp_path: Path) -> None:
    """One of each where there are results for it; an old one goes when there are none any more."""
    pytest.importorskip("matplotlib", reason="the pictures are drawn where the benchmark is installed")
    from benchmarks.report.pictures import draw

    values = tuple(0.5 + one / 100 for one in range(1001))
    drained = [(names.DRAIN, one, {"messages_per_s": 4e4}) for one in (OURS, "bullmq", names.READ_ACK_DELETE)]
    late = results("B2")
    late.distributions = [Distribution("B2", QUIET, one, values) for one in (OURS, *names.PEERS)]
    pending = [(case, OURS, {"accept_per_s": 3e3}) for case in (names.pending(10**6), names.beside(names.pending(10**6)))]
    (tmp_path / "memory.png").touch()

    draw([results("B1", *drained), late, results("B6", *pending)], tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(set(PICTURES) - {"memory.png"})
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 100_000
