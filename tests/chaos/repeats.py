"""Judges each start of a message after its first: an ordered retry, a replay, or a second delivery that has to be explained."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.due import judge_due
from tests.chaos.excuses import explanation, settled, undone, was_late
from tests.chaos.history import Call
from tests.chaos.timeline import Message, Ran, Timeline, answered, unsure
from tests.chaos.verdict import Kind, Verdict

TIMER_US = 2_000
"""Handlers note their starts and ends a little after the service does: so much sooner is not too soon."""


def judge_repeats(message: Message, line: Timeline, verdict: Verdict) -> None:
    for number in range(1, len(message.runs)):
        _judge_repeat(message, message.runs[:number], message.runs[number], line, verdict)


def _judge_repeat(message: Message, before: Sequence[Ran], later: Ran, line: Timeline, verdict: Verdict) -> None:
    earlier = before[-1]
    if _judge_against_all(message, before, later, line, verdict):
        return
    replay = _replay(message, earlier, later, line)
    if replay is not None:
        _judge_replayed(message, replay, earlier, later, line, verdict)
        return
    _judge_attempt(message, earlier, later, line, verdict)
    if _is_ordered(earlier, later, line):
        _judge_retry(message, earlier, later, line, verdict)
    elif not _excused(earlier, later, line, verdict):
        text = f"delivered again without a reason: {_both(earlier, later)}"
        verdict.violate(_duplicate(earlier, later, line), message.ref, text)


def _judge_against_all(message: Message, before: Sequence[Ran], later: Ran, line: Timeline, verdict: Verdict) -> bool:
    """What no run before may be, not only the last one: still at work in the same worker; at work or delivered with no excuse."""
    for run in before:
        runs_still = later.start.at_us < run.over_us
        if runs_still and run.start.worker == later.start.worker:
            verdict.violate("overlap", message.ref, f"started while the same worker still ran it: {_both(run, later)}")
            return True
        if run is before[-1] or not (runs_still or run.ending == "returned"):
            continue
        if not _excused(run, later, line, Verdict()):
            text = f"delivered again without a reason: {_both(run, later)}"
            verdict.violate(_duplicate(run, later, line), message.ref, text)
            return True
    return False


def _duplicate(earlier: Ran, later: Ran, line: Timeline) -> Kind:
    if later.start.at_us < earlier.over_us:
        return "overlap"
    if later.start.at_us > line.faults.settled_by(earlier.start.worker, earlier.over_us):
        return "repeated"
    return "duplicate"


def _replay(message: Message, earlier: Ran, later: Ran, line: Timeline) -> Call | None:
    """The call that scheduled it anew between the two, as a dead letter: its attempts start again."""
    spent = earlier.ending == "dead" or (earlier.ending != "returned" and earlier.start.attempt >= line.rules.max_attempts)
    lost = _losses(earlier.start.at_us, later, line) > 0 and not settled(earlier, line)
    if not spent and not lost:
        return None
    over_us = earlier.start.at_us if earlier.ending == "none" else earlier.over_us
    for call in message.of("replay"):
        if call.at_us > later.start.at_us:
            continue
        if answered(call) and call.until_us >= over_us:
            return call
        if unsure(call) and (spent or later.start.attempt <= earlier.start.attempt):
            return call
    return None


def _judge_replayed(message: Message, replay: Call, earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> None:
    verdict.allowed["replayed"] += 1
    due_us = replay.earliest_us[message.position(replay)]
    early_us, forgotten = judge_due(message, later, due_us, replay.at_us, line)
    if forgotten:
        verdict.undone["a change undone"] += 1
    elif early_us > 0:
        text = f"replayed, and started {early_us / 1000:.3f} ms before its time: {_both(earlier, later)}"
        verdict.violate("early", message.ref, text)
    if later.start.attempt > 1 + _losses(replay.at_us, later, line):
        verdict.violate("attempts", message.ref, f"its attempts did not start again with its replay: {_both(earlier, later)}")


def _judge_attempt(message: Message, earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> None:
    before, after = earlier.start.attempt, later.start.attempt
    lease_us = line.rules.lease_us
    if after > before + 1 + _losses(earlier.start.at_us, later, line):
        text = f"attempt {after} after attempt {before}, and nothing had been lost: {_both(earlier, later)}"
        verdict.violate("attempts", message.ref, text)
    elif after >= before or was_late(earlier, later, line):
        return
    elif line.faults.destroyed(earlier.start.at_us - lease_us, later.start.at_us):
        verdict.allowed["lost attempts forgotten with their group"] += 1
    elif undone(earlier, later.start.at_us, line):
        verdict.undone["attempts forgotten"] += 1
    else:
        text = f"attempt {after} after attempt {before}, and nobody replayed it: {_both(earlier, later)}"
        verdict.violate("attempts", message.ref, text)


def _is_ordered(earlier: Ran, later: Ran, line: Timeline) -> bool:
    """Whether this is the retry of a run that failed, or ran past its deadline though nothing had hit its worker."""
    failed = earlier.ending == "failed" or (earlier.hung and not explanation(earlier, later.start.at_us, line))
    return failed and later.start.attempt > earlier.start.attempt and later.start.at_us >= earlier.over_us


def _judge_retry(message: Message, earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> None:
    verdict.retries += 1
    backoff_us = line.rules.retry_us[min(earlier.start.attempt, len(line.rules.retry_us)) - 1]
    due_us = earlier.over_us + backoff_us - TIMER_US
    early_us, forgotten = judge_due(message, later, due_us, earlier.over_us, line)
    if forgotten:
        verdict.undone["a change undone"] += 1
    elif early_us > 0 and not _excused(earlier, later, line, verdict):
        verdict.violate("early", message.ref, f"retried {early_us / 1000:.1f} ms before its time: {_both(earlier, later)}")


def _excused(earlier: Ran, later: Ran, line: Timeline, verdict: Verdict) -> bool:
    """Whether a second delivery may be, and counts it by its reason."""
    if reason := explanation(earlier, later.start.at_us, line):
        verdict.explained[reason] += 1
    elif was_late(earlier, later, line):
        verdict.allowed["started after its settlement by a worker that had been frozen or cut off"] += 1
    elif what := undone(earlier, later.start.at_us, line):
        verdict.undone[what] += 1
    else:
        return False
    return True


def _losses(from_us: int, later: Ran, line: Timeline) -> int:
    return line.faults.losses(from_us, later.start.at_us, line.rules.lease_us)


def _both(earlier: Ran, later: Ran) -> str:
    first, second = earlier.start, later.start
    return (
        f"{first.id} by {first.worker} at {first.at_us} (attempt {first.attempt}, {earlier.ending} at {earlier.over_us}), "
        f"by {second.worker} {(second.at_us - first.at_us) / 1000:.1f} ms later (attempt {second.attempt})"
    )
