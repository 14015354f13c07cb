"""What becomes of a delivery: every way in which a handler can end, and what cannot be started at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from consumers.outcomes import Dead, Retry
from consumers.verdict import (
    MAX_DEFERRAL_AGE_MS,
    MAX_DEFERRALS,
    describe,
    finished,
    put_back,
    spent,
    unreadable,
    verdict,
)
from shared.record import Options
from shared.store.entries import Settlement
from shared.store.messages import Attempt, DeadHeader, Finished
from tests.consumers.making import DUE_MS, POLICY, make_delivery

ENDED_MS = DUE_MS + 250


def _attempt(settlement: Settlement) -> Attempt:
    return msgspec.json.decode(settlement.text, type=Attempt)


def _dead(settlement: Settlement) -> DeadHeader:
    assert settlement.outcome == "dead"
    return msgspec.json.decode(settlement.header, type=DeadHeader)


@pytest.mark.parametrize("error", [None, Dead("no"), Retry(5), Retry(5, counts=False), ValueError("no")])
def test_every_end_names_the_labels(error: Exception | None) -> None:
    """So that a message that is over goes out of their index; also one that was lost too often."""
    delivery = make_delivery(attempts=5, deliveries=3, options=Options(labels=("red", "blue")))
    delivery.start()

    assert verdict(delivery, error, ENDED_MS, "worker-1").labels == ("red", "blue")
    buried = spent(make_delivery(attempts=6, options=Options(labels=("red",))), ENDED_MS)
    assert buried is not None
    assert buried.labels == ("red",)


def test_returned_means_delivered() -> None:
    """A handler that returned ends its message, with outcome and times kept for the retention."""
    delivery = make_delivery(attempts=2)
    delivery.start()

    settlement = verdict(delivery, None, ENDED_MS, "worker-1")

    assert (settlement.outcome, settlement.number, settlement.errors_exist) == ("finished", POLICY.retention_ms, True)
    assert settlement.lease == delivery.lease
    assert msgspec.json.decode(settlement.text, type=Finished) == Finished(
        status="delivered",
        due_ms=DUE_MS,
        settled_ms=ENDED_MS,
        attempts=3,
        created_ms=delivery.record.created_ms,
        started_ms=delivery.started_ms,
        worker="worker-1",
    )


def test_the_first_attempt_left_no_errors_to_remove() -> None:
    """Only a message that failed or was put off before has a list of errors to delete."""
    assert verdict(make_delivery(), None, ENDED_MS, "w").errors_exist is False
    assert verdict(make_delivery(attempts=1), None, ENDED_MS, "w").errors_exist is True
    assert verdict(make_delivery(deferrals=1), None, ENDED_MS, "w").errors_exist is True


def test_a_retention_of_zero_keeps_nothing() -> None:
    """Where nothing is to be kept, nothing is sent."""
    settlement = verdict(make_delivery(policy=replace(POLICY, retention_ms=0)), None, ENDED_MS, "w")

    assert (settlement.outcome, settlement.text, settlement.number) == ("finished", "", 0)


def test_an_expired_message_spent_no_attempt() -> None:
    """Expiry is no attempt: those before it are all that is told."""
    settlement = finished(make_delivery(attempts=1), "expired", ENDED_MS, "w")

    kept = msgspec.json.decode(settlement.text, type=Finished)
    assert (kept.status, kept.attempts, kept.started_ms) == ("expired", 1, 0)


def test_what_counts_as_delivered_and_as_failed() -> None:
    """What spends an attempt or ends in the dead letters has failed; expiry and what is put off are neither."""
    ends = {
        "delivered": verdict(make_delivery(), None, ENDED_MS, "w"),
        "retried": verdict(make_delivery(), ValueError("no"), ENDED_MS, "w"),
        "dead": verdict(make_delivery(), Dead("no"), ENDED_MS, "w"),
        "expired": finished(make_delivery(), "expired", ENDED_MS, "w"),
        "deferred": verdict(make_delivery(), Retry(5, counts=False), ENDED_MS, "w"),
        "put back": put_back(make_delivery().entry, "a", 5),
        "unreadable": unreadable(make_delivery().entry, "a", "no record"),
    }

    assert {name: one.counts_as for name, one in ends.items()} == {
        "delivered": "delivered", "retried": "failed", "dead": "failed", "unreadable": "failed",
        "expired": None, "deferred": None, "put back": None,
    }  # fmt: skip


@pytest.mark.parametrize(("attempts", "delay_ms"), [(0, 1_000), (1, 2_000), (3, 8_000)])
def test_an_exception_is_retried_by_policy(attempts: int, delay_ms: int) -> None:
    """Any exception counts as an attempt and waits for the backoff of that many failures."""
    delivery = make_delivery(attempts=attempts, deferrals=7)
    delivery.start()

    settlement = verdict(delivery, ValueError("no such address"), ENDED_MS, "worker-1")

    assert (settlement.outcome, settlement.number, settlement.attempts, settlement.deferrals) == (
        "retry",
        delay_ms,
        attempts + 1,
        7,
    )
    assert _attempt(settlement) == Attempt(
        attempt=attempts + 1,
        started_ms=delivery.started_ms,
        ended_ms=ENDED_MS,
        error="ValueError: no such address",
        worker="worker-1",
        delay_ms=delay_ms,
    )


@pytest.mark.parametrize("error", [ValueError("no"), Retry(10), SystemExit(3)])
def test_the_last_attempt_ends_in_the_dead_letters(error: BaseException) -> None:
    """When the last attempt fails, whatever it raises, the message is buried with how many there were."""
    settlement = verdict(make_delivery(attempts=4), error, ENDED_MS, "w")

    assert _dead(settlement) == DeadHeader(reason="all 5 attempts failed", due_ms=DUE_MS, attempts=5)
    assert _attempt(settlement).attempt == 5
    assert "delay_ms" not in settlement.text, "nothing follows it"


def test_retry_waits_as_it_asks_and_counts() -> None:
    """``Retry(after_ms)`` replaces the backoff and spends an attempt."""
    settlement = verdict(make_delivery(attempts=1), Retry(77, reason="not ready"), ENDED_MS, "w")

    assert (settlement.outcome, settlement.number, settlement.attempts, settlement.deferrals) == ("retry", 77, 2, 0)
    assert (_attempt(settlement).error, _attempt(settlement).delay_ms) == ("not ready", 77)


def test_a_retry_that_does_not_count_spends_no_attempt() -> None:
    """``Retry(counts=False)`` is put off, also by a message that has only its last attempt left."""
    settlement = verdict(make_delivery(attempts=4, deferrals=3), Retry(77, counts=False), ENDED_MS, "w")

    assert (settlement.outcome, settlement.number, settlement.attempts, settlement.deferrals) == ("retry", 77, 4, 4)
    assert settlement.text == "", "put off is no error, and must not push real ones out"


def test_what_was_not_tried_goes_back_as_it_was() -> None:
    """No number bounds how often: nothing was spent."""
    held_back = Retry(5, counts=False)
    held_back.holds_back = True

    again = verdict(make_delivery(deferrals=MAX_DEFERRALS, attempts=4), held_back, ENDED_MS, "w")

    assert (again.outcome, again.number, again.attempts, again.deferrals, again.text) == ("retry", 5, 4, MAX_DEFERRALS, "")


def test_a_retry_that_does_not_count_is_bounded_by_number() -> None:
    """After so many of them, the next one counts like any other, and waits no less than the policy says."""
    last_free = verdict(make_delivery(deferrals=MAX_DEFERRALS - 1), Retry(5, counts=False), ENDED_MS, "w")
    counted = verdict(make_delivery(deferrals=MAX_DEFERRALS), Retry(5, counts=False), ENDED_MS, "w")
    buried = verdict(make_delivery(deferrals=MAX_DEFERRALS, attempts=4), Retry(5, counts=False), ENDED_MS, "w")

    assert (last_free.attempts, last_free.deferrals) == (0, MAX_DEFERRALS)
    assert (counted.outcome, counted.number, counted.attempts, counted.deferrals) == ("retry", 1_000, 1, MAX_DEFERRALS)
    assert buried.outcome == "dead"


def test_a_retry_that_does_not_count_is_bounded_by_age() -> None:
    """A day after the first time that it was put off, being put off counts."""
    first = verdict(make_delivery(), Retry(5, counts=False), ENDED_MS, "w")
    delivery = make_delivery(deferrals=1)
    delivery.entry = msgspec.structs.replace(delivery.entry, deferred_since_ms=first.deferred_since_ms)

    free = verdict(delivery, Retry(5, counts=False), ENDED_MS + MAX_DEFERRAL_AGE_MS - 1, "w")
    counted = verdict(delivery, Retry(5, counts=False), ENDED_MS + MAX_DEFERRAL_AGE_MS, "w")

    assert (first.deferrals, first.deferred_since_ms) == (1, ENDED_MS)
    assert (free.attempts, free.deferrals, free.deferred_since_ms) == (0, 2, ENDED_MS)
    assert (counted.attempts, counted.deferrals) == (1, 1)


def test_a_message_moved_far_ahead_or_replayed_late_can_be_put_off() -> None:
    """Its age counts from the first time that it was put off, not from the time that it was first meant for."""
    settlement = verdict(make_delivery(), Retry(5, counts=False), DUE_MS + 90 * MAX_DEFERRAL_AGE_MS, "w")

    assert (settlement.attempts, settlement.deferrals) == (0, 1)


def test_dead_is_buried_at_once() -> None:
    """``Dead(reason)`` goes to the dead letters with its own words, at the first attempt."""
    settlement = verdict(make_delivery(), Dead("nobody lives there"), ENDED_MS, "w")

    assert _dead(settlement) == DeadHeader(reason="nobody lives there", due_ms=DUE_MS, attempts=1)
    assert _attempt(settlement).error == "nobody lives there"


@pytest.mark.parametrize("reason", ["\ud800 half a character", 404, KeyError("x"), None, "long " * 1_000])
def test_any_reason_for_a_burial_can_be_stored_and_read(reason: Any) -> None:
    """A reason that is no Unicode text, no text at all, or endless is stored as bounded text."""
    settlement = verdict(make_delivery(), Dead(reason), ENDED_MS, "w")

    header = _dead(settlement)
    assert isinstance(header.reason, str)
    assert header.reason
    assert len(header.reason.encode()) <= 1024


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class _Deadly(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


def test_an_exception_is_described_by_its_name_and_words() -> None:
    """People read what was raised; what a handler asked for is told in its words alone; what cannot be shown says so."""
    assert describe(ValueError("no")) == "ValueError: no"
    assert describe(ValueError()) == "ValueError"
    assert describe(Dead("gone")) == "gone"
    assert describe(Retry(1, reason="later")) == "later"
    assert describe(_Unspeakable()) == "_Unspeakable: (its text cannot be shown)"
    assert describe(_Deadly()) == "_Deadly: (its text cannot be shown)"


@pytest.mark.parametrize("text", ["x" * 5_000, "ü" * 5_000, "€" * 3_000, "\U0001f600" * 2_000, "\ud800" * 5_000])
def test_an_error_is_bounded_in_bytes(text: str) -> None:
    """However long and in whatever script, no more than 1 KiB of an error is kept, and it is whole characters."""
    settlement = verdict(make_delivery(), ValueError(text), ENDED_MS, "w")

    error = _attempt(settlement).error
    assert 1_015 < len(error.encode()) <= 1_024
    assert error.startswith("ValueError: ")
    assert error.endswith("…")


def test_a_short_error_is_kept_whole() -> None:
    """What fits is not touched; what is no Unicode text is replaced."""
    assert _attempt(verdict(make_delivery(), ValueError("fits"), ENDED_MS, "w")).error == "ValueError: fits"
    assert _attempt(verdict(make_delivery(), ValueError("\udc80"), ENDED_MS, "w")).error == "ValueError: ?"


def test_a_handler_says_how_much_of_its_errors_is_kept() -> None:
    """``error_bytes`` of the handler bounds its errors, larger or smaller than the default."""
    error = ValueError("x" * 10_000)

    wide = _attempt(verdict(make_delivery(error_bytes=4_096), error, ENDED_MS, "w")).error
    narrow = _attempt(verdict(make_delivery(error_bytes=64), error, ENDED_MS, "w")).error

    assert (len(wide.encode()), len(narrow.encode())) == (4_096, 64)


@dataclass
class _RateLimited(Retry):
    """As people write it: its own fields, and no call of the base class."""

    seconds: int

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


def _spoiled(after_ms: Any) -> Retry:
    retry = Retry(0)
    retry.after_ms = after_ms
    return retry


@pytest.mark.parametrize("error", [_RateLimited(3), _spoiled("soon"), _spoiled(-5), _spoiled(10**15), _spoiled(1.5)])
def test_a_retry_that_says_nothing_usable_is_a_failure_like_any_other(error: Retry) -> None:
    """What a handler's own subclass leaves unset or sets wrongly neither reaches Redis nor ends the thread."""
    settlement = verdict(make_delivery(), error, ENDED_MS, "w")

    assert (settlement.outcome, settlement.number, settlement.attempts) == ("retry", 1_000, 1)


def test_a_message_is_not_spent_while_an_attempt_is_left() -> None:
    """The last attempt may run; one beyond it is a burial, with why."""
    assert spent(make_delivery(attempts=4), ENDED_MS) is None

    for deliveries, reason in ((1, "attempts spent"), (3, "its worker was lost 2 times while it ran")):
        delivery = make_delivery(attempts=5, deliveries=deliveries)
        delivery.entry = msgspec.structs.replace(delivery.entry, lost_by="worker-9")
        burial = spent(delivery, ENDED_MS)
        assert burial is not None
        assert _dead(burial) == DeadHeader(reason=reason, due_ms=DUE_MS, attempts=5)
        error = msgspec.json.decode(burial.text, type=Attempt)
        assert (error.attempt, error.ended_ms, error.worker) == (5, ENDED_MS, "worker-9")
        assert error.error == f"{reason}; the last time claimed from worker-9"


def test_an_unreadable_entry_is_buried_as_it_is() -> None:
    """An entry that is no record is kept for a person to look at, without an attempt or an error."""
    entry = make_delivery(attempts=2).entry

    settlement = unreadable(entry, "some-id", "its record cannot be read")

    assert _dead(settlement) == DeadHeader(reason="its record cannot be read", due_ms=DUE_MS, attempts=2)
    assert (settlement.message_id, settlement.text, settlement.topic) == ("some-id", "", "alpha")


def test_what_cannot_be_started_here_is_put_back_and_costs_nothing() -> None:
    """It waits as long as is said, with attempts and deferrals unchanged and no error."""
    entry = make_delivery(attempts=2, deferrals=4).entry

    settlement = put_back(entry, "some-id", 5_000)

    assert (settlement.outcome, settlement.number) == ("retry", 5_000)
    assert (settlement.attempts, settlement.deferrals, settlement.text) == (2, 4, "")


@pytest.mark.parametrize("after_ms", [-1, 31_536_000_001, 1.5, "5", None])
def test_retry_refuses_a_wait_that_is_none(after_ms: Any) -> None:
    """A wrong wait is refused where it is written, with what was expected."""
    with pytest.raises(ValueError, match=r"after_ms: expected 0 to 31536000000 milliseconds"):
        Retry(after_ms)
