"""The judge counts what runs at once of a flow key, as far as that is sure."""

from __future__ import annotations

import pytest

from tests.chaos.histories import Told, fault, final, kinds, run, schedule

REFS = ("1@a", "2@a", "3@a", "4@b", "5")


def crowded(*told: Told, most: int = 2) -> bool:
    """Whether that is among what is wrong."""
    found = kinds(schedule(refs=REFS), *told, *(final("delivered", ref) for ref in REFS), flow_concurrency=most)
    return "crowded" in found


def test_as_many_as_allowed_run_at_once() -> None:
    """And one more of another key, and one without any; the next begins when one of them ends."""
    told = [run(5, 1, ref="1@a"), run(5.5, 1, ref="2@a"), run(5.6, 1, ref="4@b"), run(5.7, 1, ref="5")]

    assert not crowded(*told, run(6, 1, ref="3@a"))
    assert crowded(*told, run(5.999, 1, ref="3@a"))
    assert not crowded(*told, run(5.999, 1, ref="3@a"), most=3)
    assert not crowded(*told, run(5.999, 1, ref="3@a"), most=0), "there is no limit"


@pytest.mark.parametrize("effect", ["frozen", "cut", "died"])
def test_what_a_broken_worker_goes_on_with_does_not_count(effect: str) -> None:
    """Its message may have been given to another, which has ended it."""
    told = [run(5, 1, ref="1@a", worker="w2"), run(5.1, 1, ref="2@a"), run(5.2, 1, ref="3@a")]

    assert crowded(*told)
    assert not crowded(*told, fault(effect, 5.3, 5.4, "w2"))  # type: ignore[arg-type] # one of the effects
    assert crowded(*told, fault(effect, 5.3, 5.4, "w3"))  # type: ignore[arg-type] # the same
