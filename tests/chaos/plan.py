"""What is broken, when and how: a pure function of the seed, so that a run can be had again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

QUIET_S = 3.0
"""Nothing is broken at the very beginning."""
PACE_S = 1.6
"""About how long one fault takes, with its mending and the recovery after it."""
TOGETHER = 0.25
"""So often a fault comes while another is still under way."""


class Planned(NamedTuple):
    """One fault. ``choice`` picks its target, ``amount`` says how long or how much; both from 0 to below 1."""

    kind: str
    gap_s: float
    """How long after the one before."""
    choice: float
    amount: float
    together: bool
    """Whether it does not wait for the one before to be mended."""


def make_plan(seed: int, seconds: float, kinds: Sequence[str]) -> list[Planned]:
    """As many faults as fit; every kind once before any comes again."""
    random, plan, bag = Random(seed), list[Planned](), list[str]()  # noqa: S311 - a run that can be had again, not a secret
    for _ in range(max(1, int((seconds - QUIET_S) / PACE_S * (1 + TOGETHER)))):
        if not bag:
            bag = random.sample(list(kinds), len(kinds))
        kind = bag.pop()
        together = bool(plan) and random.random() < TOGETHER
        plan.append(Planned(kind, random.uniform(0.05, 0.8), random.random(), random.random(), together))
    return plan
