"""Short chaos runs with fixed seeds: real processes, servers and faults, and the judge. ``make chaos`` runs longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.checker import judge
from tests.chaos.faults import KINDS
from tests.chaos.history import Fault
from tests.chaos.plan import make_plan
from tests.chaos.report import report
from tests.chaos.run import FAULTS_WANTED, Run
from tests.chaos.stage import Shape
from tests.support.nodes import needs_a_binary

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("seconds", "seed", "shape"),
    [
        (45, 1, Shape("server", "always")),
        (30, 2, Shape("sentinel", "everysec", "replica")),
        (30, 3, Shape("cluster", "everysec", partitions=6)),
    ],
    ids=["server", "sentinel", "cluster"],
)
async def test_every_promise_is_kept_while_things_break(tmp_path: Path, seconds: int, seed: int, shape: Shape) -> None:
    """Thousands of messages under faults of many kinds: none lost, none early, no second delivery without a reason."""
    needs_a_binary()
    plan = make_plan(seed, seconds, list(KINDS[shape.form]))

    history = await Run(tmp_path, plan, seconds, seed, shape).run()

    verdict = judge(history)
    told = "\n".join(report(history, verdict))
    assert verdict.ok, told
    broken = {event.kind for event in history.events if isinstance(event, Fault)}
    assert verdict.accepted > 1000, told
    assert len(broken & set(KINDS[shape.form])) >= FAULTS_WANTED, told
