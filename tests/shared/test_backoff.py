"""How long to wait after a failure."""

from __future__ import annotations

import pytest

from shared.backoff import OUTAGE, Backoff


def test_it_grows_by_its_factor_up_to_its_cap() -> None:
    """Without jitter: initial, times the factor for each failure more, never over the cap."""
    backoff = Backoff(initial_ms=1_000, max_ms=300_000, factor=2, jitter=0)

    assert [backoff.delay_ms(n) for n in (1, 2, 3, 9, 10, 11, 1000)] == [1_000, 2_000, 4_000, 256_000, 300_000, 300_000, 300_000]


def test_jitter_spreads_to_both_sides_within_its_share() -> None:
    """A herd that failed together does not come back together, and nobody waits longer than the cap."""
    backoff = Backoff(initial_ms=1_000, max_ms=2_100, factor=2, jitter=0.2)

    firsts = [backoff.delay_ms(1) for _ in range(500)]
    seconds = [backoff.delay_ms(2) for _ in range(500)]

    assert min(firsts) >= 800
    assert max(firsts) <= 1_200
    assert min(firsts) < 900
    assert max(firsts) > 1_100
    assert len(set(firsts)) > 100
    assert min(seconds) >= 1_600
    assert max(seconds) == 2_100


@pytest.mark.parametrize(
    ("backoff", "failures", "expected"),
    [
        (Backoff(0, 1_000, 2, 0.2), 5, 0),
        (Backoff(1_000, 0, 2, 0.2), 5, 0),
        (Backoff(100, 1_000, 1, 0), 50, 100),
        (Backoff(100, 1_000, 2, 0), 0, 100),
        (Backoff(100, 1_000, 2, 0), -3, 100),
        (Backoff(86_400_000, 604_800_000, 100, 0), 10**9, 604_800_000),
    ],
)
def test_the_edges_are_whole_milliseconds_in_bounds(backoff: Backoff, failures: int, expected: int) -> None:
    """No setting and no count of failures overflows, goes below zero or over the cap."""
    assert backoff.delay_ms(failures) == expected


def test_a_list_of_waits_is_followed_and_its_last_holds_on() -> None:
    """Whatever the formula says; the jitter spreads these too, and the range is what it can become."""
    exact = Backoff(1, 2, 3, 0, (1_000, 5, 60_000))
    spread = Backoff(1, 2, 3, 0.1, (1_000,))

    assert [exact.delay_ms(failures) for failures in (0, 1, 2, 3, 4, 1000)] == [1_000, 1_000, 5, 60_000, 60_000, 60_000]
    assert [exact.range_ms(failures) for failures in (1, 9)] == [(1_000, 1_000), (60_000, 60_000)]
    assert spread.range_ms(1) == (900, 1_100)
    assert {900 <= spread.delay_ms(1) <= 1_100 for _ in range(100)} == {True}


def test_the_range_is_where_every_wait_lies() -> None:
    """Of the formula too, with its cap."""
    backoff = Backoff(initial_ms=1_000, max_ms=2_100, factor=2, jitter=0.2)

    assert [backoff.range_ms(failures) for failures in (1, 2)] == [(800, 1_200), (1_600, 2_100)]


def test_an_outage_is_asked_about_again_soon() -> None:
    """Short at first, never more than two seconds: a Redis that is back is noticed."""
    assert OUTAGE.delay_ms(1) <= 65
    assert all(OUTAGE.delay_ms(n) <= 2_000 for n in range(1, 100))
