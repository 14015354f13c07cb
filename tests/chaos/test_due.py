"""The judge knows when a message may be started at the earliest, whatever its callers asked for in between."""

from __future__ import annotations

import pytest

from tests.chaos.histories import Told, call, fault, final, judged, kinds, run, schedule

DELIVERED = final("delivered")
DUE_AT_5 = schedule(due=5)


def is_early(started: float, *told: Told) -> bool:
    return kinds(DUE_AT_5, *told, run(started), DELIVERED) == ["early"]


def test_no_fault_makes_it_right_to_be_early() -> None:
    """A microsecond is too early, whatever was broken: a stepped clock least of all."""
    everything = [
        fault("stepped", 1, 9, "w1"),
        fault("frozen", 1, 9, "w1"),
        fault("store_died", 2, 3),
        fault("failed_over", 2, 3),
    ]

    assert is_early(4.999999, *everything)
    assert not is_early(5, *everything)


@pytest.mark.parametrize(("status", "now"), [(200, 9), (409, 5), (404, 5), (0, 5), (503, 5)])
def test_a_change_to_later_counts_where_it_was_told(status: int, now: float) -> None:
    """From a 2xx on nothing starts before the new time; a call that was refused, or not answered, may have changed nothing."""
    told = (schedule(due=5, status=0), call("change", 2, status, due=9))

    assert kinds(*told, run(now - 0.000001), DELIVERED) == ["early"]
    assert kinds(*told, run(now), DELIVERED) == []


@pytest.mark.parametrize(("status", "now"), [(200, 3), (409, 5), (0, 3), (503, 3)])
def test_a_change_to_sooner_counts_where_it_may_have_taken_effect(status: int, now: float) -> None:
    """A call that was not answered may have been done all the same; one that was refused was not."""
    change = call("change", 2, status, due=3)

    assert is_early(now - 0.000001, change)
    assert not is_early(now, change)


@pytest.mark.parametrize(("status", "now"), [(202, 2), (409, 5), (0, 2), (503, 2)])
def test_deliver_now_is_due_with_its_call(status: int, now: float) -> None:
    """A start from the call on is never early, one before it is."""
    hasten = call("deliver_now", 2, status)

    assert not is_early(now, hasten)
    assert is_early(1.999999, hasten)
    assert is_early(4.9, hasten) == (now == 5)


def test_what_was_told_last_counts() -> None:
    """Of two changes that were both answered, the second is the one that stands; also after a deliver now."""
    assert is_early(5, call("change", 2, 200, due=3), call("change", 2.5, 200, due=9))
    assert not is_early(3, call("change", 2, 200, due=9), call("change", 2.5, 200, due=3))
    assert is_early(5, call("deliver_now", 2, 202), call("change", 2.5, 200, due=9))
    assert not is_early(3, call("change", 2, 200, due=9), call("deliver_now", 2.5, 202))


def test_a_call_that_was_not_answered_may_take_effect_late() -> None:
    """It may still make sooner what another call has put off since."""
    unanswered, put_off = call("change", 2, 0, due=3), call("change", 2.5, 200, due=9)

    assert not is_early(3, unanswered, put_off)
    assert is_early(2.9, unanswered, put_off)


def test_what_is_called_after_the_start_explains_nothing() -> None:
    """No call reaches back."""
    assert is_early(4, call("change", 4.5, 200, due=4))
    assert is_early(4, call("deliver_now", 4.000001, 0))
    assert not is_early(4, call("deliver_now", 4, 0))


def test_a_request_that_was_repeated_is_due_by_the_first_that_may_have_been_stored() -> None:
    """Each repeat asks for a time of its own, and nobody knows which one was stored."""
    told = (schedule(1, 3, status=0), schedule(2, 4), DELIVERED)

    assert kinds(*told, run(3)) == []
    assert kinds(*told, run(2.9)) == ["early"]
    assert kinds(schedule(1, 3, status=429), schedule(2, 4), run(3), DELIVERED) == ["refused", "early"]


def test_each_of_a_batch_has_its_own_time() -> None:
    """A change of one leaves the other as it was."""
    both = schedule(due=5, refs=("a", "b"))
    ends = (final("delivered", "a"), final("delivered", "b"))

    assert kinds(both, call("change", 2, 200, due=3, ref="b"), run(3, ref="b"), run(5, ref="a"), *ends) == []
    assert kinds(both, call("change", 2, 200, due=3, ref="b"), run(3, ref="a"), run(3, ref="b"), *ends) == ["early"]


def test_a_change_under_way_at_the_start_may_have_come_to_a_retry() -> None:
    """It was called before the first run and may have changed the retry only; where that run was the last one, it was before."""
    under_way = call("change", 4.9, 200, until=5.3, due=9)

    assert kinds(DUE_AT_5, under_way, run(5, ending="failed"), run(9, attempt=2), DELIVERED) == []
    assert kinds(DUE_AT_5, under_way, run(5), DELIVERED) == ["early"]
    answered = call("change", 4.9, 200, until=5, due=9)
    assert kinds(DUE_AT_5, answered, run(5, ending="failed"), run(9, attempt=2), DELIVERED) == ["early"]


def test_a_change_that_the_store_forgot_is_counted_apart() -> None:
    """It was due as before; a start that keeps to neither time is early all the same."""
    change, died = call("change", 2, 200, due=9), fault("store_died", 3, 3.2)
    told = (DUE_AT_5, change, died, DELIVERED)

    verdict = judged(*told, run(5), appendfsync="everysec")
    assert (verdict.violations, verdict.undone) == ([], {"a change undone": 1})
    assert kinds(*told, run(4.9), appendfsync="everysec") == ["early"]
    assert not judged(*told, run(9), appendfsync="everysec").undone
    assert kinds(*told, run(5), appendfsync="always") == ["early"]
    assert kinds(DUE_AT_5, change, fault("store_died", 5.001, 5.2), run(5), DELIVERED, appendfsync="everysec") == ["early"]
