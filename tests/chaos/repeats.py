"""Judges each start of a message after its first: an ordered retry, a replay, or a second delivery that has to be explained."""

from __future__ import annotations

from itertools import pairwise

from tests.chaos.history import Effect
from tests.chaos.timeline import Message, Ran, Timeline, answered, unsure
from tests.chaos.verdict import Kind, Verdict, Violation

UNDONE_US = 3_000_000
"""What was answered so long before the store died may be forgotten, unless it promised more."""
TIMER_US = 2_000
"""Handlers note their starts and ends a little after the service does: so much sooner is not too soon."""
_OUT: frozenset[Effect] = frozenset({"store_refused", "store_died", "failed_over"})
_DESTROYED: frozenset[Effect] = frozenset({"group_destroyed"})


def judge_repeats(message: Message, line: Timeline, verdict: Verdict) -> None:
    for earlier, later in pairwise(message.runs):
        if _replayed(message, earlier, later):
            verdict.allowed["replayed"] += 1
            continue
        _judge_attempt(message, earlier, later, line, verdict)
        if (earlier.ending == "failed" or earlier.hung) and later.start.attempt > earlier.start.attempt:
            _judge_retry(message, earlier, later, line, verdict)
        else:
            _judge_duplicate(message, earlier, later, line, verdict)


def _replayed(message: Message, earlier: Ran, later: Ran) -> bool:
    """Whether a dead letter was scheduled anew between the two: its attempts start again."""
    return later.start.attempt <= earlier.start.attempt and any(
        (answered(call) or unsure(call)) and call.at_us <= later.start.at_us and call.until_us >= earlier.start.at_us
        for call in message.of("replay")
    )


def _judge_attempt(message: Message, earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> None:
    before, after = earlier.start.attempt, later.start.attempt
    if after < before and line.faults.in_store(_DESTROYED, earlier.start.at_us, later.start.at_us):
        verdict.allowed["lost attempts forgotten with their group"] += 1
    elif after < before:
        text = f"attempt {after} after attempt {before}, and nobody replayed it: {_both(earlier, later)}"
        verdict.violations.append(Violation("attempts", message.ref, text))
    elif after > before + 1 and not line.faults.any_loss(earlier.start.at_us, later.start.at_us):
        text = f"attempt {after} after attempt {before}, and nothing had been lost: {_both(earlier, later)}"
        verdict.violations.append(Violation("attempts", message.ref, text))


def _judge_retry(message: Message, earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> None:
    verdict.retries += 1
    backoff_us = line.rules.retry_us[min(earlier.start.attempt, len(line.rules.retry_us)) - 1]
    earliest_us = earlier.over_us + backoff_us - TIMER_US
    hastened = any(
        (answered(call) or unsure(call)) and call.until_us >= earlier.start.at_us and call.at_us <= later.start.at_us
        for call in message.of("change", "deliver_now", "replay")
    ) or any(unsure(call) for call in message.of("change", "deliver_now", "replay"))
    if later.start.at_us < earliest_us and not hastened and not _explanation(earlier, later, line):
        text = f"retried {(earliest_us - later.start.at_us) / 1000:.1f} ms before its backoff was over: {_both(earlier, later)}"
        verdict.violations.append(Violation("early", message.ref, text))


def _judge_duplicate(message: Message, earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> None:
    """A second delivery: only where the first one's worker died, hung or was cut off while it held it."""
    if earlier.start.worker == later.start.worker and later.start.at_us < earlier.over_us:
        text = f"started while the same worker still ran it: {_both(earlier, later)}"
        verdict.violations.append(Violation("overlap", message.ref, text))
        return
    reason = _explanation(earlier, later, line)
    if reason:
        verdict.explained[reason] += 1
        return
    if _was_late(earlier, later, line):
        verdict.allowed["started after its settlement by a worker that had been frozen or cut off"] += 1
        return
    if _undone(earlier, line):
        verdict.undone["a settlement repeated"] += 1
        return
    kind: Kind = "duplicate"
    if later.start.at_us < earlier.over_us:
        kind = "overlap"
    elif later.start.at_us > line.faults.settled_by(earlier.start.worker, earlier.over_us):
        kind = "repeated"
    verdict.violations.append(Violation(kind, message.ref, f"delivered again without a reason: {_both(earlier, later)}"))


def _explanation(earlier: Ran, later: Ran, line: Timeline) -> str:
    """What had hit the earlier run's worker while it held the delivery: from the start to the settlement."""
    worker, from_us = earlier.start.worker, earlier.start.at_us
    until_us = min(line.faults.settled_by(worker, earlier.over_us), later.start.at_us)
    for effect, reason in _OF_WORKER.items():
        if line.faults.of(worker, effect, from_us, until_us):
            return reason
    if line.faults.in_store(_DESTROYED, from_us, until_us):
        return "its group was destroyed"
    if line.faults.in_store(_OUT, from_us, until_us, shortest_us=line.rules.lease_us // 2):
        return "all were cut off from the store for most of a lease"
    return ""


_OF_WORKER: dict[Effect, str] = {"died": "its worker died", "frozen": "its worker was frozen", "cut": "its worker was cut off"}


def _was_late(earlier: Ran, later: Ran, line: Timeline) -> bool:
    """Whether the later run is that of a worker which had the delivery before, and was frozen or cut off meanwhile."""
    worker, from_us, until_us = later.start.worker, earlier.start.at_us, later.start.at_us
    return any(line.faults.of(worker, effect, from_us, until_us) for effect in ("frozen", "cut"))


def _undone(earlier: Ran, line: Timeline) -> bool:
    """Whether the store may have forgotten that the earlier run was settled."""
    if line.rules.appendfsync == "always":
        return False
    settled_us = line.faults.settled_by(earlier.start.worker, earlier.over_us)
    return line.faults.store_died_within(earlier.over_us, settled_us - earlier.over_us + UNDONE_US)


def _both(earlier: Ran, later: Ran) -> str:
    first, second = earlier.start, later.start
    return (
        f"{first.id} by {first.worker} at {first.at_us} (attempt {first.attempt}, {earlier.ending} at {earlier.over_us}), "
        f"by {second.worker} {(second.at_us - first.at_us) / 1000:.1f} ms later (attempt {second.attempt})"
    )
