"""The judge counts attempts as callers may: none is skipped without a loss, and none counts backwards."""

from __future__ import annotations

from tests.chaos.histories import Told, fault, final, judged, kinds, run, schedule

ACCEPTED, DELIVERED = schedule(), final("delivered")


def test_attempts_are_skipped_only_by_losses() -> None:
    """One for each fault that may have lost a delivery while the message waited, and for each lease that it lasted."""

    def skipped(count: int, *told: Told) -> bool:
        second = run(5, attempt=2 + count, worker="w2")
        return kinds(ACCEPTED, run(1, ending="failed"), second, DELIVERED, *told, max_attempts=9) == ["attempts"]

    assert not skipped(0)
    assert skipped(1)
    assert not skipped(1, fault("store_refused", 2, 2.1))
    assert skipped(2, fault("store_refused", 2, 2.999999))
    assert not skipped(2, fault("store_refused", 2, 3))
    assert not skipped(2, fault("store_refused", 2, 2.1), fault("died", 3, 4, "w1"))
    assert skipped(2, fault("died", 2, 4.5, "w1"))
    assert skipped(1, fault("died", 0.5, 0.999999, "w1"))
    assert not skipped(1, fault("died", 0.5, 1, "w1"))
    assert skipped(1, fault("died", 5.000001, 6, "w1"))
    assert skipped(1, fault("stepped", 2, 3, "w1"), fault("none", 2, 3), fault("died", 2, 3, "dispatcher-1"))


def test_a_first_run_is_the_first_attempt() -> None:
    """Unless deliveries were lost before any started; those of workers that ran something, once they were accepted."""

    def first(attempt: int, *told: Told) -> bool:
        return kinds(schedule(due=5), run(5, attempt=attempt), DELIVERED, *told) == ["attempts"]

    assert not first(1)
    assert first(2)
    assert not first(2, fault("died", 2, 3, "w1"))
    assert first(3, fault("died", 2, 3, "w1"))
    assert first(2, fault("died", 2, 3, "producer-1"))
    assert first(2, fault("died", 0.1, 0.999999, "w1"))
    assert not first(2, fault("died", 0.1, 1, "w1"))


def test_an_attempt_beyond_the_last_is_found() -> None:
    """Whatever was lost."""
    lost = [fault("store_refused", 1, 9)]

    assert kinds(ACCEPTED, run(9, attempt=4), DELIVERED, *lost) == []
    assert kinds(ACCEPTED, run(9, attempt=5), DELIVERED, *lost) == ["attempts"]
    assert kinds(ACCEPTED, run(9, ending="failed", attempt=4), run(12, attempt=5), DELIVERED, *lost) == ["attempts"]


def test_attempts_count_backwards_only_where_their_group_was_destroyed() -> None:
    """What was lost is counted by the group, and goes with it."""
    told = (ACCEPTED, run(9, ending=None, attempt=2), fault("died", 9.1, 9.2, "w1"), run(12, worker="w2"), DELIVERED)
    lost = fault("store_refused", 2, 2.1)
    name = "lost attempts forgotten with their group"

    assert kinds(*told, lost) == ["attempts"]
    for at in (8.0, 12.0):
        verdict = judged(*told, lost, fault("group_destroyed", at))
        assert (verdict.ok, verdict.allowed) == (True, {name: 1}), at
    for at in (7.999999, 12.000001):
        assert kinds(*told, lost, fault("group_destroyed", at)) == ["attempts"], at


def test_a_worker_that_starts_late_has_an_old_number() -> None:
    """It carries the attempt that it was given before it was frozen."""
    lost = fault("store_refused", 2, 2.1)
    told = (ACCEPTED, run(9, attempt=2), run(10, worker="w2"), DELIVERED, lost)

    assert kinds(*told, fault("frozen", 8, 10, "w2")) == []
    assert kinds(*told) == ["attempts", "duplicate"]
