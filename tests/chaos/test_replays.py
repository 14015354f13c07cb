"""The judge knows a dead letter that was scheduled anew, and takes nothing else for one."""

from __future__ import annotations

import pytest

from tests.chaos.histories import call, fault, final, judged, kinds, run, schedule

ACCEPTED, DELIVERED = schedule(), final("delivered")


def test_a_replay_begins_anew() -> None:
    """A dead letter, by its own wish or by spent attempts; its attempts start again, and it keeps to its new time."""
    dead = run(1, ending="dead")
    replay = call("replay", 5, 202, due=6)

    verdict = judged(ACCEPTED, dead, replay, run(6, worker="w2"), DELIVERED)
    assert (verdict.ok, verdict.allowed, verdict.retries) == (True, {"replayed": 1}, 0)
    assert kinds(ACCEPTED, dead, replay, run(5.999999, worker="w2"), DELIVERED) == ["early"]
    assert kinds(ACCEPTED, dead, replay, call("change", 5.5, 200, due=8), run(7, worker="w2"), DELIVERED) == ["early"]
    assert kinds(ACCEPTED, dead, replay, call("deliver_now", 5.5, 202), run(5.6, worker="w2"), DELIVERED) == []
    assert kinds(ACCEPTED, dead, replay, run(6, attempt=2, worker="w2"), DELIVERED) == ["attempts"]
    lost = fault("store_refused", 6, 6.1)
    assert kinds(ACCEPTED, dead, replay, run(6, attempt=2, worker="w2"), lost, DELIVERED) == []
    assert kinds(ACCEPTED, dead, replay, run(6, attempt=3, worker="w2"), lost, DELIVERED) == ["attempts"]


def test_a_replay_that_the_store_forgot_to_put_off_is_counted_apart() -> None:
    """Its change was undone, and its own time stands."""
    told = (ACCEPTED, run(1, ending="dead"), call("replay", 5, 202), call("change", 5.5, 200, due=9), DELIVERED)

    verdict = judged(*told, fault("failed_over", 6, 7), run(7, worker="w2"))
    assert (verdict.ok, verdict.undone) == (True, {"a change undone": 1})


@pytest.mark.parametrize("status", [202, 0, 503, 404, 409])
def test_a_replay_counts_where_it_may_have_taken_effect(status: int) -> None:
    """It was called before the start; answered, not before the end of the run before; not answered, it may come late."""
    dead, again = run(1, ending="dead"), run(6, worker="w2")

    def found(at: float, until: float) -> bool:
        return "repeated" in kinds(ACCEPTED, dead, call("replay", at, status, until=until), again, DELIVERED)

    refused, unsure = status in {404, 409}, status in {0, 503}
    assert found(5, 5.1) == refused
    assert found(6, 6.1) == refused
    assert found(6.000001, 6.1)
    assert found(0.5, 1.01) == refused
    assert found(0.5, 1.009999) == (not unsure)


def test_only_a_dead_letter_is_replayed() -> None:
    """A replay excuses no repeat of what was delivered, or had attempts left and lost none."""
    replay, again = call("replay", 5, 202), run(6, worker="w2")

    assert kinds(ACCEPTED, run(1), replay, again, DELIVERED) == ["repeated"]
    assert kinds(ACCEPTED, run(1), replay, again, fault("died", 4, 5, "w1"), DELIVERED) == ["repeated"]
    assert kinds(ACCEPTED, run(1, ending="failed"), replay, again, DELIVERED) == ["repeated"]
    assert kinds(ACCEPTED, run(1, ending="failed"), replay, again, fault("died", 4, 5, "w1"), DELIVERED) == []
    lost = run(1, ending=None)
    assert kinds(ACCEPTED, lost, call("replay", 1.2, 202), run(1.3, worker="w2"), fault("died", 1, 1.1, "w1"), DELIVERED) == []
    old = [fault("store_refused", 0.6, 0.6)] * 3
    last = run(1, ending=None, attempt=4)
    lost_last = (schedule(0.5), last, fault("died", 1, 1.1, "w1"), run(1.3, worker="w2"), DELIVERED)
    assert kinds(*lost_last, *old, call("replay", 1.2, 202)) == []
    assert kinds(*lost_last, *old) == ["attempts"]
    spent = [run(one, ending="failed", attempt=one) for one in range(1, 5)]
    assert kinds(ACCEPTED, *spent, replay, again, DELIVERED) == []
    assert kinds(ACCEPTED, *spent[:3], replay, again, DELIVERED) == ["attempts", "repeated"]
    assert kinds(ACCEPTED, *spent[:3], run(4, attempt=4), replay, again, DELIVERED) == ["attempts", "repeated"]


def test_an_unanswered_replay_explains_what_was_dead() -> None:
    """Nothing else could have scheduled it; its first delivery may have been lost."""
    told = (ACCEPTED, run(1, ending="dead"), call("replay", 5, 0), run(6, attempt=2, worker="w2"), DELIVERED)

    assert kinds(*told, fault("store_refused", 5.5, 5.5)) == []
    assert kinds(*told) == ["attempts"]


def test_an_unanswered_replay_does_not_hide_a_retry() -> None:
    """Where the next attempt is the one that a retry has, it is held to its backoff, though something had been lost."""
    told = (run(1, ending="failed"), call("replay", 1.05, 0), fault("died", 1.05, 1.06, "w3"), run(1.02, ref="o", worker="w3"))

    assert kinds(
        ACCEPTED, schedule(refs=("o",)), final("delivered", "o"), *told, run(1.1, attempt=2, worker="w2"), DELIVERED
    ) == ["early"]
    assert (
        kinds(ACCEPTED, schedule(refs=("o",)), final("delivered", "o"), *told, run(1.1, attempt=1, worker="w2"), DELIVERED) == []
    )


def test_a_replayed_message_does_not_run_twice_at_once() -> None:
    """Also a replay comes after the end."""
    told = (ACCEPTED, run(1, 1, "dead"), call("replay", 1.2, 202, until=2.5), DELIVERED)

    assert kinds(*told, run(1.5)) == ["overlap"]
