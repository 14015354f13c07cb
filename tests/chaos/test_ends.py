"""The judge holds what became of a message against its runs, and against what its callers were told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import Told, call, fault, final, judged, kinds, run, schedule

ACCEPTED = schedule()
DIED = fault("died", 1.1, 1.3, "w1")


@pytest.mark.parametrize("state", ["scheduled", "ready", "running", "retrying", "waiting"])
def test_at_the_end_nothing_waits(state: Any) -> None:
    """All had been given the time: what still waits then is stuck."""
    assert kinds(ACCEPTED, run(1), final(state)) == ["unsettled"]


def test_an_accepted_message_that_nobody_knows_is_lost() -> None:
    """Unless it ran to its end, or its cancelling was answered. A fault, or a cancel without an answer, takes no message away."""
    gone = final("unknown")

    assert kinds(ACCEPTED, gone) == ["lost"]
    assert kinds(ACCEPTED) == ["lost"]
    assert kinds(ACCEPTED, run(1, ending="failed"), gone) == ["lost"]
    assert kinds(ACCEPTED, run(1, ending=None), DIED, gone) == ["lost"]
    assert kinds(ACCEPTED, call("cancel", 2, 0), gone) == ["lost"]
    assert kinds(ACCEPTED, call("cancel", 2, 409), gone) == ["lost"]
    assert kinds(ACCEPTED, fault("store_died", 2, 3), fault("group_destroyed", 2), gone) == ["lost"]
    assert kinds(ACCEPTED, run(1), gone) == []
    assert kinds(ACCEPTED, call("cancel", 2, 200), gone) == []
    assert kinds(schedule(status=503), gone) == []


def test_what_is_delivered_was_returned_from() -> None:
    """A handler that failed has delivered nothing; one that a frozen worker let return late may have."""
    assert kinds(ACCEPTED, run(1, ending="failed"), final("delivered")) == ["contradiction"]
    assert kinds(ACCEPTED, run(1, ending=None), final("delivered")) == ["contradiction"]
    assert kinds(ACCEPTED, run(1, 2), final("delivered")) == []


def test_what_was_delivered_has_no_other_end() -> None:
    """Once its handler returned in a healthy worker it is neither cancelled, nor expired, nor dead; else it may be."""
    (violation,) = judged(ACCEPTED, run(1), final("dead")).violations
    assert violation.text == "it is said to be dead, and it was delivered"
    for state, more in (("cancelled", call("cancel", 2, 0)), ("expired", schedule(1, expires=50)), ("dead", None)):
        told: list[Told] = [ACCEPTED, run(1), final(state), *([more] if more else [])]  # type: ignore[arg-type] # three of its values
        assert kinds(*told) == ["contradiction"], state
        assert kinds(*told, *(fault("cut", 1 + number, 5, "w1") for number in range(4))) == [], state


def test_what_is_cancelled_somebody_cancelled() -> None:
    """With an answer or without; a refusal is none."""
    cancelled = final("cancelled")

    assert kinds(ACCEPTED, cancelled) == ["contradiction"]
    assert kinds(ACCEPTED, call("cancel", 2, 409), cancelled) == ["contradiction"]
    assert kinds(ACCEPTED, call("cancel", 2, 200), cancelled) == []
    assert kinds(ACCEPTED, call("cancel", 2, 0), cancelled) == []


def test_what_is_expired_had_a_time_to_expire() -> None:
    """And that time has come."""
    expired = final("expired")

    assert kinds(ACCEPTED, expired) == ["contradiction"]
    assert kinds(schedule(expires=60.000001), expired) == ["contradiction"]
    assert kinds(schedule(expires=60), expired) == []


def test_what_was_cancelled_is_nothing_else() -> None:
    """After a 2xx to its cancelling it is neither dead nor expired, unless the store forgot the cancelling."""
    told = (schedule(due=1, expires=50), run(1, ending="dead"), call("cancel", 2, 200))

    assert kinds(*told, final("dead")) == ["contradiction"]
    assert kinds(*told, final("expired")) == ["contradiction"]
    assert kinds(*told, final("cancelled")) == []
    assert kinds(*told, final("dead"), fault("failed_over", 3, 4)) == []
    assert kinds(schedule(expires=50), call("cancel", 2, 409), final("expired")) == []


def test_a_cancelled_message_never_starts() -> None:
    """From the answer on. While the call is under way, the run may be what it is refused for."""
    for status, started, found in ((200, 2.001001, True), (200, 2.001, False), (409, 2.001001, False), (0, 2.001001, False)):
        told = (schedule(due=2), call("cancel", 2, status), run(started, ending="failed"), final("cancelled"))
        expected = ["ran though cancelled"] if found else []
        assert [kind for kind in kinds(*told) if kind == "ran though cancelled"] == expected, (status, started)


def test_no_fault_of_a_process_makes_a_cancelled_message_run() -> None:
    """Not even a frozen worker starts it: it was told to nobody then."""
    faults = (fault("frozen", 1.5, 2.5, "w1"), fault("cut", 1.5, 2.5, "w1"), fault("store_refused", 1.5, 2.5))

    assert kinds(schedule(due=2), call("cancel", 1.8, 200), run(2.5), final("delivered"), *faults) == ["ran though cancelled"]


def test_a_message_that_a_worker_holds_is_not_cancelled() -> None:
    """A 2xx while its handler runs, or after it returned, is wrong; between two attempts it is right."""
    cancel, cancelled = call("cancel", 1.5, 200), final("cancelled")

    assert kinds(ACCEPTED, run(1, 1, "failed"), cancel, cancelled) == ["contradiction"]
    assert kinds(ACCEPTED, run(1, 0.5011, "failed"), cancel, cancelled) == ["contradiction"]
    assert kinds(ACCEPTED, run(1, 0.501, "failed"), cancel, cancelled) == []
    assert kinds(ACCEPTED, run(1, 0.4, "failed"), cancel, cancelled) == []
    assert kinds(ACCEPTED, run(1, 0.4), cancel, final("delivered")) == ["contradiction"]
    assert kinds(ACCEPTED, run(1.501), cancel, final("delivered")) == ["contradiction"]
    assert kinds(ACCEPTED, run(1, 0.4), call("cancel", 1.5, 409), final("delivered")) == []


def test_a_message_that_its_worker_had_lost_may_be_cancelled() -> None:
    """Where its worker was hit before the cancelling, or its group went, nobody held it any more."""
    told = (ACCEPTED, run(1, 0.4), call("cancel", 1.5, 200), final("cancelled"))

    assert kinds(*told, fault("group_destroyed", 1.2)) == []
    assert kinds(*told, fault("cut", 1.2, 1.3, "w1")) == []
    assert "contradiction" in kinds(*told, fault("cut", 1.6, 1.7, "w1"))
    assert kinds(ACCEPTED, run(1, 2), call("cancel", 2.499, 200), final("cancelled")) == []  # past its deadline
    assert kinds(ACCEPTED, run(1, 2), call("cancel", 2.498, 200), final("cancelled")) == ["contradiction"]


def test_a_dead_letter_has_spent_its_attempts() -> None:
    """Or asked to be one; or lost what was left of its attempts with those who held it."""

    def dead(attempt: int, *told: Told) -> list[Any]:
        runs = [run(one, ending="failed", attempt=one) for one in range(1, attempt + 1)]
        return kinds(ACCEPTED, *runs, *told, final("dead"))

    assert dead(3) == ["wrongly dead"]
    assert dead(4) == []
    assert dead(3, fault("died", 3.005, 3.1, "w1")) == []
    assert dead(2, fault("died", 2.005, 2.1, "w1")) == ["wrongly dead"]
    assert dead(2, fault("died", 2.005, 2.1, "w1"), fault("store_refused", 5, 5.1)) == []
    assert dead(3, fault("died", 2.5, 2.9, "w1")) == ["wrongly dead"]
    assert dead(3, fault("died", 3.005, 3.1, "dispatcher-1")) == ["wrongly dead"]
    assert dead(3, fault("none", 3.005, 3.1), fault("stepped", 3.1, 3.2, "w1")) == ["wrongly dead"]
    assert kinds(ACCEPTED, final("dead"), fault("store_died", 1, 50)) == ["wrongly dead"]


def test_a_dead_letter_that_was_replayed_has_to_die_anew() -> None:
    """What it had spent before its replay counts no more, unless the replay came to nothing."""
    first = (ACCEPTED, run(1, ending="dead"))
    again = run(6, ending="failed")

    assert kinds(*first, call("replay", 5, 202), again, final("dead")) == ["wrongly dead"]
    assert kinds(*first, call("replay", 5, 202), final("dead")) == ["wrongly dead"]
    assert kinds(*first, call("replay", 5, 202), run(6, ending="dead"), final("dead")) == []
    assert kinds(*first, call("replay", 5, 0), final("dead")) == []
    twice = (*first, call("replay", 5, 202), run(6, ending="dead"), call("replay", 8, 202))
    assert kinds(*twice, run(9, ending="failed"), final("dead")) == ["wrongly dead"]
    lost = [fault("store_refused", 6, 6)] * 4
    assert kinds(*first, call("replay", 5, 202), *lost[:3], final("dead")) == ["wrongly dead"]
    assert kinds(*first, call("replay", 5, 202), *lost, final("dead")) == []
    assert kinds(*first, call("replay", 5, 202), fault("failed_over", 6, 7), final("dead")) == []


def test_an_end_is_told_by_the_api_and_by_the_runs() -> None:
    """Ends are counted by what the API says; where it knows nothing any more, a return counts."""
    assert judged(ACCEPTED, run(1), final("unknown")).ends == {"delivered": 1}
    assert judged(ACCEPTED, run(1), final("delivered")).ends == {"delivered": 1}
    assert judged(ACCEPTED, run(1, ending="dead"), final("dead")).ends == {"dead": 1}
    assert judged(schedule(status=0), final("unknown")).ends == {"unknown": 1}
    assert judged(ACCEPTED, run(1), call("cancel", 2, 0), final("cancelled")).ends == {"cancelled": 1}
