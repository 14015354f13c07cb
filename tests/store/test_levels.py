"""How a read is shared among priority levels."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.store.levels import WEIGHTS, Shares

HIGH, NORMAL, LOW = STREAMS = ("s:high", "s:normal", "s:low")


def serve(shares: Shares, backlog: Counter[str], count: int) -> Counter[str]:
    """One read from that backlog, as Redis would answer it."""
    asked = shares.split(count)
    came = Counter({stream: min(asked[stream], backlog[stream]) for stream in STREAMS if min(asked[stream], backlog[stream])})
    shares.saw(asked, came)
    backlog.subtract(came)
    return came


def test_a_topic_without_levels_is_asked_for_nearly_all_at_once() -> None:
    """One of each other level is asked for as well: the first that comes there does not wait for the backlog."""
    shares = Shares(STREAMS)
    backlog = Counter({NORMAL: 1_000})

    assert [serve(shares, backlog, 100)[NORMAL] for _ in range(5)] == [100] * 5

    backlog[HIGH] += 1
    assert serve(shares, backlog, 100)[HIGH] == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 100])
def test_levels_with_a_backlog_share_by_their_weights(count: int) -> None:
    """Over many reads, whatever their size: six, three and one of ten."""
    shares, backlog, served = Shares(STREAMS), Counter(dict.fromkeys(STREAMS, 10**9)), Counter[str]()
    for _ in range(4):
        serve(shares, backlog, count)  # until all are known to have one
    for _ in range(1_000):
        served.update(serve(shares, backlog, count))

    total = 1_000 * count
    assert served.total() == total, "no level is empty, so nothing is asked for beside the count"
    for stream, weight in zip(STREAMS, WEIGHTS.values(), strict=True):
        assert abs(served[stream] - total * weight / 10) <= 2


def test_one_slot_at_a_time_lets_no_level_wait_for_more_than_ten_others() -> None:
    """No starvation, not even with a single slot."""
    shares, backlog = Shares(STREAMS), Counter(dict.fromkeys(STREAMS, 10**6))
    for _ in range(4):
        serve(shares, backlog, 1)
    order = [next(iter(serve(shares, backlog, 1))) for _ in range(1_000)]

    for stream in STREAMS:
        places = [place for place, one in enumerate(order) if one == stream]
        assert max(later - earlier for earlier, later in pairwise(places)) <= 10


@given(st.lists(st.tuples(st.integers(1, 300), st.tuples(*[st.integers(0, 200)] * 3)), min_size=1, max_size=60))
def test_never_more_is_asked_for_than_there_is_room_for(rounds: list[tuple[int, tuple[int, ...]]]) -> None:
    """But for one of each level that was empty the last time; and what lies there is drained in the end."""
    shares, backlog = Shares(STREAMS), Counter[str]()
    for count, arrivals in rounds:
        backlog.update(dict(zip(STREAMS, arrivals, strict=True)))
        asked = shares.split(count)
        assert all(one >= 0 for one in asked.values())
        assert 0 < sum(asked.values()) <= count + len(STREAMS) - 1
        serve(shares, backlog, count)
    for _ in range(backlog.total() + 10):
        serve(shares, backlog, 1)
        serve(shares, backlog, 1)
        serve(shares, backlog, 1)

    assert backlog.total() == 0
