"""The judge tells ordered retries from second deliveries, and holds them to their backoff."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import Told, call, fault, final, judged, kinds, run, schedule

ACCEPTED, DELIVERED = schedule(), final("delivered")
TIMER = 0.002


def retried(at: float, *told: Told) -> list[Any]:
    """Failed at 1.01; then again at that time."""
    return kinds(schedule(0.9), run(1, ending="failed"), run(at, worker="w2", attempt=2), DELIVERED, *told)


def test_a_retry_waits_for_its_backoff() -> None:
    """The shortest backoff, less what a handler notes its end after the service does."""
    assert retried(1.01 + 0.16 - TIMER) == []
    assert retried(1.01 + 0.16 - TIMER - 0.000001) == ["early"]


def test_a_backoff_grows_with_the_attempt() -> None:
    """Each has its own, the last counts for all after it."""

    def second(attempt: int, at: float) -> list[Any]:
        lost = [fault("store_refused", 1, 1)] * 5
        first, again = run(1, ending="failed", attempt=attempt), run(at, attempt=attempt + 1, worker="w2")
        return kinds(schedule(0.9), first, again, DELIVERED, *lost, max_attempts=9)

    for attempt, backoff in ((1, 0.16), (2, 0.32), (3, 0.64), (4, 0.64), (5, 0.64)):
        assert second(attempt, 1.01 + backoff - TIMER) == [], attempt
        assert second(attempt, 1.01 + backoff - TIMER - 0.000001) == ["early"], attempt


def test_a_hung_run_is_retried_after_its_deadline() -> None:
    """And its backoff; it may be running still."""
    for hung in (run(1, ending=None), run(1, 3, "failed"), run(1, 3, "returned")):
        assert kinds(ACCEPTED, hung, run(2.66, attempt=2, worker="w2"), DELIVERED) == []
        assert kinds(ACCEPTED, hung, run(2.6, attempt=2, worker="w2"), DELIVERED) == ["early"]
        assert kinds(ACCEPTED, hung, run(2.66, attempt=1, worker="w2"), DELIVERED) == ["duplicate"]
    assert kinds(ACCEPTED, run(1, 1.5), run(2.66, attempt=2, worker="w2"), DELIVERED) == ["duplicate"]  # it ended in time


def test_a_run_that_its_worker_took_along_is_no_retry() -> None:
    """It is explained by that, whatever number the next attempt has."""
    for attempt in (1, 2):
        verdict = judged(
            ACCEPTED, run(1, ending=None), run(9, attempt=attempt, worker="w2"), DELIVERED, fault("died", 1, 2, "w1")
        )
        assert (verdict.ok, verdict.retries, verdict.explained) == (True, 0, {"its worker died": 1})


def test_a_failure_that_was_not_settled_is_delivered_again_at_once() -> None:
    """Its worker died before it could put it off: no backoff, and explained."""
    verdict = judged(ACCEPTED, run(1, ending="failed"), run(1.1, attempt=2, worker="w2"), DELIVERED, fault("died", 1, 2, "w1"))

    assert (verdict.ok, verdict.explained) == (True, {"its worker died": 1})


@pytest.mark.parametrize("status", [202, 0, 503, 409])
def test_deliver_now_hastens_a_retry(status: int) -> None:
    """Where it may have taken effect between the failure and the retry."""
    refused = status == 409

    assert retried(1.1, call("deliver_now", 1.05, status)) == (["early"] if refused else [])
    assert retried(1.1, call("deliver_now", 1.1, status)) == (["early"] if refused else [])
    assert retried(1.1, call("deliver_now", 1.100001, status)) == ["early"]
    assert retried(1.1, call("deliver_now", 0.95, status, until=1.009)) == ([] if status in {0, 503} else ["early"])
    assert retried(1.1, call("deliver_now", 0.95, status, until=1.01)) == (["early"] if refused else [])


def test_a_retry_may_start_with_the_end_of_what_failed() -> None:
    """Where it was hastened while that ran."""
    assert retried(1.01, call("deliver_now", 1.005, 0)) == []
    assert retried(1.009999, call("deliver_now", 1.005, 0)) == ["overlap"]


def test_a_change_puts_a_retry_off() -> None:
    """From its answer on the new time counts; also a retry keeps to it."""
    change = call("change", 1.05, 200, due=5)

    assert retried(4.9, change) == ["early"]
    assert retried(5, change) == []
    assert retried(1.2, change) == ["early"]
    assert retried(1.2, call("change", 1.05, 200, until=1.3, due=5)) == ["early"]  # the retry was the last run
    assert retried(1.2, call("change", 1.05, 0, due=5)) == []
    assert retried(1.1, call("change", 1.05, 200, due=1.08)) == []
    assert retried(1.1, call("change", 1.05, 200, due=1.11)) == ["early"]
    assert retried(1.2, call("change", 1.01, 200, due=5)) == ["early"]
    assert retried(1.2, call("change", 1.009999, 200, until=1.05, due=5)) == []  # before the failure, perhaps


def test_a_replay_hastens_no_retry() -> None:
    """What waits for its retry is no dead letter."""
    assert retried(1.1, call("replay", 1.05, 202)) == ["early"]
    assert retried(1.1, call("replay", 1.05, 0)) == ["early"]
