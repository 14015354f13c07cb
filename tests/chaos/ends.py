"""Judges what became of a message: its end as the API tells it, against its runs and what its callers were answered."""

from __future__ import annotations

from tests.chaos.broken import FOR_EVER_US
from tests.chaos.excuses import explanation, forgotten, settled, undone
from tests.chaos.history import Call, State
from tests.chaos.timeline import Message, Ran, Timeline, answered, unsure
from tests.chaos.verdict import Verdict

_UNSETTLED: frozenset[State] = frozenset({"scheduled", "ready", "running", "retrying", "waiting"})


def judge_end(message: Message, line: Timeline, verdict: Verdict) -> None:
    # Also a run that returned past its deadline: a worker that was frozen meanwhile may have counted it as delivered.
    returned = any(run.end is not None and run.end.ending == "returned" for run in message.runs)
    state: State = message.finals[-1].state if message.finals else "unknown"
    verdict.ends["delivered" if returned and state == "unknown" else state] += 1
    if state in _UNSETTLED:
        verdict.violate("unsettled", message.ref, f"it is still {state} at the end, {len(message.runs)} runs")
    elif state == "unknown":
        _judge_loss(message, line, verdict, returned=returned)
    elif denied := _denied(message, state, line, returned=returned):
        verdict.violate("contradiction", message.ref, f"it is said to be {state}, and {denied}")
    elif state == "dead":
        _judge_death(message, line, verdict)


def _judge_loss(message: Message, line: Timeline, verdict: Verdict, *, returned: bool) -> None:
    """Nobody knows it. A cancel that was not answered is no excuse: had it taken effect, the service would say so."""
    if message.accepted is None or returned or any(answered(call) for call in message.of("cancel")):
        return
    if forgotten(message.accepted, FOR_EVER_US, line):
        verdict.undone["an accept lost"] += 1
    else:
        text = f"accepted at {message.accepted.until_us}; {len(message.runs)} runs; nobody knows it"
        verdict.violate("lost", message.ref, text)


def _denied(message: Message, state: State, line: Timeline, *, returned: bool) -> str:
    """What the calls and runs say against that end."""
    cancelling, end = message.of("cancel"), message.finals[-1]
    if state == "delivered":
        return "" if returned else "no handler returned"
    if any(settled(run, line) for run in message.runs):
        return "it was delivered"
    if state == "cancelled" and not any(answered(call) or unsure(call) for call in cancelling):
        return "nobody cancelled it"
    if state != "cancelled" and any(answered(call) and not forgotten(call, end.at_us, line) for call in cancelling):
        return "it was cancelled"
    if state == "expired" and not any(0 < call.expires_us <= end.at_us for call in message.of("schedule")):
        return "its time had not come"
    return ""


def _judge_death(message: Message, line: Timeline, verdict: Verdict) -> None:
    """Only where it was asked for, or its attempts were spent: by the runs since its replay, and by what was lost after them."""
    end_us = message.finals[-1].at_us
    replays = [call for call in message.of("replay") if answered(call) and not forgotten(call, end_us, line)]
    since_us = max((call.at_us for call in replays), default=message.calls[0].at_us)
    runs = [run for run in message.runs if run.start.at_us >= since_us]
    if any(run.ending == "dead" for run in runs):
        return
    attempt, from_us = (runs[-1].start.attempt, runs[-1].start.at_us) if runs else (0, since_us)
    if not message.runs:
        verdict.violate("wrongly dead", message.ref, "a dead letter, and it never ran")
    elif attempt + line.faults.losses(from_us, end_us, line.rules.lease_us) < line.rules.max_attempts:
        verdict.violate("wrongly dead", message.ref, f"a dead letter after {attempt} attempts")


def judge_cancelling(message: Message, line: Timeline, verdict: Verdict) -> None:
    """Cancelled with a 2xx means: no worker has it, and none will."""
    for call in message.of("cancel"):
        if answered(call):
            _judge_cancel(message, call, line, verdict)


def _judge_cancel(message: Message, call: Call, line: Timeline, verdict: Verdict) -> None:
    after = [run.start for run in message.runs if run.start.at_us > call.until_us]
    if after and forgotten(call, after[0].at_us, line):
        verdict.undone["a cancelling undone"] += 1
    elif after:
        late_ms = (after[0].at_us - call.until_us) / 1000
        text = f"{after[0].id} by {after[0].worker} {late_ms:.1f} ms after the answer"
        verdict.violate("ran though cancelled", message.ref, text)
    if any(run.start.at_us <= call.until_us and _holds(run, call, line) for run in message.runs):
        verdict.violate("contradiction", message.ref, "its cancelling was accepted, and it was running or delivered before")


def _holds(run: Ran, call: Call, line: Timeline) -> bool:
    """Whether the run's worker held the delivery, or had settled it, when the cancelling was answered."""
    if run.ending != "returned" and run.over_us <= call.until_us:
        return False
    return not explanation(run, call.until_us, line) and not undone(run, call.until_us, line)
