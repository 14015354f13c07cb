"""breaker.py, with a clock that tests move."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from consumers.webhooks.breaker import LONGEST_OPEN_S, MOST_HOSTS, Breakers, Place


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(40, clock)


def _try(breakers: Breakers, host: str = "a", *, answered: bool) -> float | None:
    with breakers.place(host) as place:
        if place.wait_s is None and answered:
            place.answered()
        return place.wait_s


def _fail(breakers: Breakers, times: int = 5, host: str = "a") -> None:
    for _ in range(times):
        assert _try(breakers, host, answered=False) is None


def _hold(breakers: Breakers, stack: ExitStack, host: str) -> Place:
    return stack.enter_context(breakers.place(host))


def test_five_failures_in_a_row_open_the_circuit_for_a_second(breakers: Breakers, clock: Clock) -> None:
    """Others of the host wait for it, a little longer than that; other hosts know nothing of it."""
    _fail(breakers)

    wait_s = _try(breakers, answered=True)

    assert wait_s is not None
    assert 1.0 <= wait_s <= 1.5
    assert _try(breakers, "b", answered=True) is None
    clock.now_s += 1.0
    assert _try(breakers, answered=True) is None
    assert _try(breakers, answered=True) is None


def test_an_answer_in_between_starts_the_count_anew(breakers: Breakers) -> None:
    """Only failures in a row count."""
    for _ in range(3):
        _fail(breakers, 4)
        assert _try(breakers, answered=True) is None


def test_one_request_tries_it_and_failure_doubles_the_time_up_to_a_bound(breakers: Breakers, clock: Clock) -> None:
    """While it is under way the others wait."""
    _fail(breakers)
    for open_s in (2.0, 4.0, 8.0, 16.0, LONGEST_OPEN_S, LONGEST_OPEN_S):
        clock.now_s += 40
        with breakers.place("a") as probe:
            assert probe.wait_s is None
            assert _try(breakers, answered=True) is not None
        wait_s = _try(breakers, answered=True)
        assert wait_s is not None
        assert open_s <= wait_s <= open_s * 1.5


def test_a_request_that_ends_without_a_word_counts_as_failed(breakers: Breakers, clock: Clock) -> None:
    """A probe that is cancelled locks nobody out."""
    _fail(breakers)
    clock.now_s += 1.0
    with suppress(ZeroDivisionError), breakers.place("a") as probe:
        assert probe.wait_s is None
        raise ZeroDivisionError

    assert _try(breakers, answered=True) is not None
    clock.now_s += 2.0
    assert _try(breakers, answered=True) is None


def test_a_host_holds_its_share_of_the_places_and_no_more(breakers: Breakers) -> None:
    """A quarter before it has ever answered, three quarters once it has, a twentieth after a failure."""
    for before, share in ((None, 10), (True, 30), (False, 2)):
        if before is not None:
            assert _try(breakers, answered=before) is None
        with ExitStack() as stack:
            held = [_hold(breakers, stack, "a") for _ in range(share)]
            assert [one.wait_s for one in held] == [None] * share
            over = _hold(breakers, stack, "a")
            assert over.wait_s is not None
            assert 0.05 <= over.wait_s <= 0.25
            for one in held:
                one.answered()


def test_a_dead_host_among_a_hundred_leaves_the_others_their_places(breakers: Breakers, clock: Clock) -> None:
    """It takes every request and answers none: however many come, it holds its quarter, and later a single place."""
    with ExitStack() as stack:
        waits = [_hold(breakers, stack, "dead").wait_s for _ in range(500)]
        assert waits.count(None) == 10
        for number in range(99):
            assert _try(breakers, f"host-{number}", answered=True) is None
    for _ in range(3):
        clock.now_s += LONGEST_OPEN_S
        with ExitStack() as stack:
            assert [_hold(breakers, stack, "dead").wait_s for _ in range(500)].count(None) == 1


def test_hosts_are_forgotten_but_not_those_with_requests_under_way(breakers: Breakers) -> None:
    """Memory is bounded; a place that is given back late is still counted."""
    with ExitStack() as stack:
        _hold(breakers, stack, "held").answered()
        for number in range(2 * MOST_HOSTS):
            _try(breakers, f"host-{number}", answered=True)
        assert len(breakers._hosts) <= MOST_HOSTS + 1
        assert "held" in breakers._hosts
    assert breakers._hosts["held"].under_way == 0
