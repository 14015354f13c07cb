"""What excuses a second delivery, and what the store may have forgotten: by the faults that hit those who held it."""

from __future__ import annotations

from tests.chaos.broken import FOR_EVER_US
from tests.chaos.history import Call, Effect, Reached
from tests.chaos.timeline import Ran, Timeline

_OF_WORKER: dict[Effect, str] = {"died": "its worker died", "frozen": "its worker was frozen", "cut": "its worker was cut off"}


def explanation(run: Ran, until_us: int, line: Timeline) -> str:
    """What had hit the run's worker while it held the delivery: from the start to the settlement, or to ``until_us``."""
    worker, from_us, lease_us = run.start.worker, run.start.at_us, line.rules.lease_us
    until_us = min(line.faults.settled_by(worker, run.over_us), until_us)
    for effect, reason in _OF_WORKER.items():
        if line.faults.of(worker, effect, from_us, until_us):
            return reason
    # What a worker has read it starts as long as its lease may last, also where the group went meanwhile.
    if line.faults.destroyed(from_us - lease_us, until_us):
        return "its group was destroyed"
    if line.faults.outage_us(from_us, until_us, apart_us=lease_us // 2) >= lease_us // 2:
        return "all were cut off from the store for most of a lease"
    return ""


def was_late(earlier: Ran, later: Ran, line: Timeline) -> bool:
    """Whether the later run is that of a worker that held the delivery first: frozen or cut off while another ran it."""
    return line.faults.held_off(later.start.worker, earlier.start.at_us, later.start.at_us)


def undone(run: Ran, seen_us: int, line: Timeline) -> str:
    """What the store may have forgotten of a run, by then: that it was handed over, or that it was settled."""
    from_us = run.start.at_us - line.rules.lease_us
    settled_us = line.faults.settled_by(run.start.worker, run.over_us)
    forgot_us = line.faults.forgets(_forgetful(line, "memory"), from_us, settled_us, seen_us)
    if not forgot_us:
        return ""
    return "a settlement repeated" if forgot_us >= run.over_us else "a hand-over repeated"


def forgotten(call: Call, seen_us: int, line: Timeline) -> bool:
    """Whether the store may have forgotten, by then, what this call was answered."""
    return bool(line.faults.forgets(_forgetful(line, call.reached), call.at_us, call.until_us, seen_us))


def settled(run: Ran, line: Timeline) -> bool:
    """Whether it was delivered for sure: nothing kept its worker from settling it, and nothing made the store forget that."""
    return run.ending == "returned" and not explanation(run, FOR_EVER_US, line) and not undone(run, FOR_EVER_US, line)


def _forgetful(line: Timeline, reached: Reached) -> frozenset[Effect]:
    """What makes the store forget: its own death, unless all is on its disk; another's taking over, unless that one has it."""
    effects = set[Effect]()
    if line.rules.appendfsync != "always" and reached == "memory":
        effects.add("store_died")
    if reached != "replica":
        effects.add("failed_over")
    return frozenset(effects)
