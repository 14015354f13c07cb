"""A plan is had again by its seed, and leaves out no kind of fault."""

from __future__ import annotations

from collections import Counter

from tests.chaos.faults import KINDS
from tests.chaos.plan import PACE_S, QUIET_S, TOGETHER, make_plan

NAMES = list(KINDS["server"])


def test_the_same_seed_makes_the_same_plan() -> None:
    """Kind, target, amount and time; another seed makes another."""
    assert make_plan(7, 120, NAMES) == make_plan(7, 120, NAMES)
    assert make_plan(7, 120, NAMES) != make_plan(8, 120, NAMES)


def test_every_kind_gets_its_turn() -> None:
    """Each comes once before any comes again, so a long plan has all of them about as often."""
    plan = [planned.kind for planned in make_plan(7, 300, NAMES)]

    rounds = [plan[start : start + len(NAMES)] for start in range(0, len(plan), len(NAMES))]
    assert len(rounds) > 3
    assert [set(one) for one in rounds[:-1]] == [set(NAMES)] * (len(rounds) - 1)
    assert max(Counter(rounds[-1]).values()) == 1
    assert rounds[0] != rounds[1]


def test_a_plan_is_as_long_as_its_time() -> None:
    """At least one fault, and a share of them together with the one before; the first has none before it."""
    assert len(make_plan(7, 1, NAMES)) == 1
    assert len(make_plan(7, QUIET_S + 16 * PACE_S, NAMES)) == int(16 * (1 + TOGETHER))
    plan = make_plan(7, 10_000, NAMES)
    assert not plan[0].together
    assert 0.8 * TOGETHER < sum(planned.together for planned in plan) / len(plan) < 1.2 * TOGETHER
    assert all(0 <= planned.choice < 1 and 0 <= planned.amount < 1 and 0.05 <= planned.gap_s <= 0.8 for planned in plan)
