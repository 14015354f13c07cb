"""The report shows every count, and what was broken."""

from __future__ import annotations

from msgspec.structs import replace

from tests.chaos.checker import judge
from tests.chaos.histories import Told, fault, final, history, run, schedule, us
from tests.chaos.report import SHOWN, report

DELIVERED = final("delivered")


def reported(*told: Told) -> list[str]:
    asked = history(told)
    return list(report(asked, judge(asked)))


def test_a_run_without_violations() -> None:
    """Messages, faults, and a zero for each promise; what is allowed and undone by name."""
    lines = reported(
        schedule(1), run(1, ending="failed"), run(2, attempt=2), run(9, worker="w2", attempt=2), DELIVERED,
        replace(fault("cut", 1.9, 2.1, "w1", kind="link cut"), recovered_us=us(2.6)),
        fault("store_refused", 30, 34.5, kind="read only"), fault("store_refused", 40, 41, kind="read only"),
        fault("died", 50, 59, "dispatcher-1", kind="dispatcher killed"),
    )  # fmt: skip

    assert lines == [
        "messages   1 accepted, 3 runs, 1 retries; 1 delivered",
        "faults     4: 2 read only, 1 link cut, 1 dispatcher killed",
        "lost       0",
        "early      0",
        "duplicates 1 explained (1 its worker was cut off), 0 unexplained",
        "allowed    none",
        "undone     none (by the store)",
        "other      none",
        "longest    outage of the store 4.5 s",
        "recovery   kind of fault          broken for at most   well again after (median, most)",
        "           dispatcher killed              9.00 s       not measured: others overlapped",
        "           link cut                       0.20 s        0.50 s,  0.50 s",
        "           read only                      4.50 s       not measured: others overlapped",
    ]


def test_violations_are_counted_and_shown() -> None:
    """Those with a line of their own there, all others under ``other``; each whole, up to a number."""
    lines = reported(
        schedule(1, refs=("a",)), schedule(1, 2, refs=("b",)), schedule(1, refs=("c",)), schedule(1, refs=("d",), status=500),
        final("unknown", "a"), run(1, ref="b"), final("delivered", "b"),
        run(1, ref="c"), run(1.5, ref="c", worker="w2"), final("delivered", "c"),
    )  # fmt: skip

    assert lines[2:5] == ["lost       1", "early      1", "duplicates 0 explained (none), 1 unexplained"]
    assert "other      1 refused" in lines
    shown = [line.split(": ")[:2] for line in lines if line.startswith("VIOLATION  ")]
    assert shown == [
        ["VIOLATION  lost", "a"],
        ["VIOLATION  early", "b"],
        ["VIOLATION  duplicate", "c"],
        ["VIOLATION  refused", "d"],
    ]


def test_many_violations_are_not_all_shown() -> None:
    """The first ones, and how many there are in all."""
    refs = tuple(str(number) for number in range(SHOWN + 1))

    all_but_one = reported(schedule(1, refs=refs[:-1]))
    lines = reported(schedule(1, refs=refs))

    assert sum(line.startswith("VIOLATION  ") for line in lines) == SHOWN
    assert lines[-1] == f"VIOLATIONS {SHOWN + 1} in all"
    assert all_but_one[-1].startswith("VIOLATION  lost")


def test_what_is_allowed_or_undone_is_shown() -> None:
    """By its name and number."""
    late = (schedule(1, refs=("a",)), run(5, ref="a"), run(5.5, ref="a", worker="w2"), final("delivered", "a"))
    lines = reported(*late, fault("frozen", 4, 5.5, "w2"), schedule(20), fault("failed_over", 21, 22))

    assert "allowed    1 started after its settlement by a worker that had been frozen or cut off" in lines
    assert "undone     1 an accept lost (by the store)" in lines
