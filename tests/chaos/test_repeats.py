"""The judge explains each second delivery by what had hit the first one's worker while it held it, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import Told, fault, final, judged, kinds, run, schedule

ACCEPTED, DELIVERED = schedule(), final("delivered")
LATE = "started after its settlement by a worker that had been frozen or cut off"
RECONNECTED = 2.5
WOKEN = 0.5


def explained(*told: Told, **rules: Any) -> str:
    """The explanation of the one second delivery; the violation where there is none."""
    verdict = judged(ACCEPTED, *told, DELIVERED, **rules)
    names: list[str] = [*verdict.explained, *verdict.allowed, *verdict.undone, *(one.kind for one in verdict.violations)]
    (name,) = names
    return name


@pytest.mark.parametrize(
    ("effect", "reason"),
    [("died", "its worker died"), ("frozen", "its worker was frozen"), ("cut", "its worker was cut off")],
)
def test_a_worker_is_hit_while_it_holds_the_delivery(effect: Any, reason: str) -> None:
    """From its start until a second after its end, by when it is settled; and only that worker."""
    first, second = run(5, 0.5), run(12, worker="w2")

    assert explained(first, second, fault(effect, 5.1, 5.2, "w1")) == reason
    assert explained(first, second, fault(effect, 6.5, 6.6, "w1")) == reason
    assert explained(first, second, fault(effect, 6.500001, 6.6, "w1")) == "repeated"
    assert explained(first, second, fault(effect, 5.1, 5.2, "w2")) == "repeated"
    assert explained(first, second, fault(effect, 5.1, 5.2, "w3")) == "repeated"


@pytest.mark.parametrize(("effect", "felt"), [("frozen", WOKEN), ("cut", RECONNECTED)])
def test_a_fault_is_felt_a_while_after_it(effect: Any, felt: float) -> None:
    """A link that is back is not used at once, and a process that goes on does not do so with all its threads at once."""
    second = run(20, worker="w2")

    assert explained(run(10), second, fault(effect, 5, 10 - felt, "w1")).startswith("its worker was")
    assert explained(run(10), second, fault(effect, 5, 10 - felt - 0.000001, "w1")) == "repeated"


def test_what_hits_a_worker_after_the_second_start_explains_nothing() -> None:
    """The reason comes before what it explains."""
    assert explained(run(1, 0.5), run(1.6, worker="w2"), fault("died", 1.6, 1.7, "w1")) == "its worker died"
    assert explained(run(1, 0.5), run(1.6, worker="w2"), fault("died", 1.600001, 1.7, "w1")) == "duplicate"


@pytest.mark.parametrize("effect", ["none", "stepped"])
def test_harmless_faults_explain_nothing(effect: Any) -> None:
    """A worker that is told to end settles what it runs; a wrong clock is no excuse."""
    assert explained(run(5), run(12, worker="w2"), fault(effect, 4, 13, "w1"), fault(effect, 4, 13)) == "repeated"


def test_a_worker_that_could_not_settle_held_the_delivery_longer() -> None:
    """What cut it off, or the store, puts off by when it was settled; what hits it until then is a reason."""
    died = fault("died", 9, 9.1, "w1")

    assert explained(run(5), run(12, worker="w2"), died) == "repeated"
    assert explained(run(5), run(12, worker="w2"), died, fault("store_refused", 6, 6.5)) == "its worker died"
    assert explained(run(5), run(12, worker="w2"), died, fault("store_refused", 6.1, 6.2)) == "repeated"
    assert explained(run(5), run(12, worker="w2"), died, fault("store_refused", 6, 6.49)) == "repeated"
    assert explained(run(5), run(12, worker="w2"), died, fault("none", 6, 6.5)) == "repeated"


def test_a_group_that_is_destroyed_lets_go_what_runs() -> None:
    """What had been read before it, at most a lease ago, may run twice; what was settled before may not."""
    first, second, reason = run(5, 0.5), run(12, worker="w2"), "its group was destroyed"

    assert explained(first, second, fault("group_destroyed", 4)) == reason
    assert explained(first, second, fault("group_destroyed", 3.999999)) == "repeated"
    assert explained(first, second, fault("group_destroyed", 6.5)) == reason
    assert explained(first, second, fault("group_destroyed", 6.500001)) == "repeated"
    assert explained(first, second, fault("group_destroyed", 5, None, "w1")) == "repeated"


@pytest.mark.parametrize("effect", ["store_refused", "store_died", "failed_over"])
def test_a_long_outage_lets_leases_run_out(effect: Any) -> None:
    """Half a lease is what all have to renew theirs in; a shorter outage is no reason."""
    first, second, reason = run(5, 1), run(12, worker="w2"), "all were cut off from the store for most of a lease"

    def why(at: float, until: float) -> str:
        return explained(first, second, fault(effect, at, until))

    assert why(5.2, 5.7) == reason
    assert why(5.2, 5.699999) == ("a hand-over repeated" if effect == "failed_over" else "repeated")
    assert why(1, 5 - RECONNECTED) == reason
    assert why(1, 5 - RECONNECTED - 0.000001) == ("a hand-over repeated" if effect == "failed_over" else "repeated")
    assert why(7, 8) == reason
    assert why(7.000001, 8).endswith("repeated")


def test_outages_close_to_each_other_are_one() -> None:
    """Between them nobody had the time to renew a lease: less than half a lease. What comes after the second start is not one."""
    first, second, reason = run(5, 1), run(12, worker="w2"), "all were cut off from the store for most of a lease"

    def why(*spans: tuple[float, float]) -> str:
        return explained(first, second, *(fault("store_refused", *span) for span in spans))

    assert why((5, 5.1), (5.4, 5.5)) == reason
    assert why((5, 5.1), (5.4, 5.499999)) == "repeated"
    assert why((5, 5.1), (5.599999, 5.7)) == reason
    assert why((5, 5.1), (5.6, 5.7)) == "repeated"
    assert why((5, 5.4), (5.1, 5.2), (5.3, 5.5)) == reason
    near = explained(first, run(6.2, worker="w2"), fault("store_refused", 6, 6.1), fault("store_refused", 6.3, 9))
    assert near == "duplicate"


def test_a_worker_that_held_the_delivery_first_may_start_it_late() -> None:
    """Frozen or cut off before another ran it, and until just before its own start; allowed, and counted."""
    first, late = run(5), run(7, worker="w2")

    assert explained(first, late, fault("frozen", 4, 7, "w2")) == LATE
    assert explained(first, late, fault("frozen", 5, 7 - WOKEN, "w2")) == LATE
    assert explained(first, late, fault("frozen", 5, 7 - WOKEN - 0.000001, "w2")) == "repeated"
    assert explained(first, late, fault("frozen", 5.000001, 7, "w2")) == "repeated"
    assert explained(first, late, fault("cut", 4, 7 - RECONNECTED, "w2")) == LATE
    assert explained(run(5), run(5 + RECONNECTED, worker="w2"), fault("cut", 4, 5, "w2")) == LATE
    assert explained(run(5), run(5 + RECONNECTED + 0.000001, worker="w2"), fault("cut", 4, 5, "w2")) == "repeated"
    assert explained(first, late, fault("died", 4, 7, "w2")) == "repeated"


def test_a_worker_never_starts_what_it_still_runs() -> None:
    """Whatever had hit it, and whatever number the attempt has: it knows itself what it runs. Past the deadline it may."""
    everything = (
        fault("frozen", 1.1, 1.2, "w1"), fault("cut", 1.1, 1.2, "w1"), fault("group_destroyed", 1.2),
        fault("store_died", 1.1, 2), fault("failed_over", 1.1, 2),
    )  # fmt: skip

    for attempt in (1, 2, 3):
        assert kinds(ACCEPTED, run(1, 1), run(1.5, attempt=attempt), DELIVERED, *everything) == ["overlap"]
        assert kinds(ACCEPTED, run(1, 1, "failed"), run(1.5, attempt=attempt), DELIVERED, *everything) == ["overlap"]
        assert kinds(ACCEPTED, run(1, 3, "failed"), run(2.4, attempt=attempt), DELIVERED, *everything) == ["overlap"]
        assert kinds(ACCEPTED, run(1, 1, None), run(2.4, attempt=attempt), DELIVERED, *everything) == ["overlap"]
    assert kinds(ACCEPTED, run(1, 1), run(2, attempt=1), DELIVERED, *everything) == []
    assert kinds(ACCEPTED, run(1, 3, "failed"), run(2.7, attempt=2), DELIVERED) == []


def test_a_run_between_hides_nothing() -> None:
    """What a worker still runs, or has delivered, is held against every later start, not only the next one."""
    frozen = fault("frozen", 1.1, 1.3, "w1")
    assert kinds(ACCEPTED, run(1, 1), run(1.5, 0.1, worker="w2"), run(1.8), DELIVERED, frozen, fault("died", 1.7, 1.7, "w2")) == [
        "overlap"
    ]
    late, died = fault("frozen", 0.9, 1.5, "w2"), fault("died", 1.55, 1.6, "w2")
    between = run(1.5, ending=None, worker="w2")
    assert kinds(ACCEPTED, run(1, 1), between, run(1.9, worker="w3"), DELIVERED, late, died) == ["overlap"]
    assert kinds(ACCEPTED, run(1), between, run(5, worker="w3"), DELIVERED, late, died) == ["repeated"]
    assert kinds(ACCEPTED, run(1, 1, "failed"), between, run(1.9, worker="w3"), DELIVERED, late, died) == ["overlap"]
    assert kinds(ACCEPTED, run(1, ending="dead"), between, run(5, worker="w3"), DELIVERED, late, died) == []
    healthy = (run(1), run(1.5, worker="w2", ending=None), run(5, worker="w3"))
    assert kinds(ACCEPTED, *healthy, DELIVERED, fault("died", 1.005, 1.1, "w1"), died) == []


def test_a_start_is_accused_once() -> None:
    """Whatever is wrong with it."""
    assert kinds(ACCEPTED, run(1, 1), run(1.5), DELIVERED) == ["overlap"]
    assert kinds(ACCEPTED, run(1), run(5, worker="w2"), run(9, worker="w3"), DELIVERED) == ["repeated", "repeated"]


def test_two_workers_at_once_is_an_overlap_whatever_the_attempt() -> None:
    """A retry that starts before the run has ended is no retry."""
    for attempt in (1, 2):
        assert kinds(ACCEPTED, run(1, 1, "failed"), run(1.9, worker="w2", attempt=attempt), DELIVERED) == ["overlap"]
        assert kinds(ACCEPTED, run(1, 9, "failed"), run(2.4, worker="w2", attempt=attempt), DELIVERED) == ["overlap"]


def test_a_second_delivery_is_named_by_when_it_came() -> None:
    """Before the first one's end: overlap. By when it is settled for sure: duplicate. After that: repeated."""
    assert explained(run(1, 1), run(1.999999, worker="w2")) == "overlap"
    assert explained(run(1, 1), run(2, worker="w2")) == "duplicate"
    assert explained(run(1, 1), run(3, worker="w2")) == "duplicate"
    assert explained(run(1, 1), run(3.000001, worker="w2")) == "repeated"


def test_a_dead_letter_that_nobody_replayed_does_not_run() -> None:
    """Its run settled it, as a return does."""
    assert kinds(ACCEPTED, run(1, ending="dead"), run(1.5, worker="w2", attempt=2), DELIVERED) == ["duplicate"]
    assert kinds(ACCEPTED, run(1, ending="failed"), run(1.5, worker="w2"), DELIVERED) == ["duplicate"]
