"""Judges a history by the promises alone. It knows nothing of how the service is made, and shares no code with it.

What it decides, for each message:

lost                  accepted with a 2xx, and neither run to its end nor cancelled, expired or dead
early                 a start before the due time that its callers know of, or a retry before its backoff was over
overlap               run by two workers at once while both were healthy; or twice at once by one
repeated              run again after its delivery was settled for sure
duplicate             any other second delivery where the first one's worker had not died, hung or been cut off while it held it
attempts              an attempt that is skipped without a loss, counts backwards, or is more than the policy allows
ran though cancelled  a start after its cancelling was answered with 2xx
strange               a message or an id that no call made; two ids for one request
contradiction         the API says what the runs and calls deny
wrongly dead          a dead letter whose attempts were not spent and that nobody asked to be one
unsettled             still waiting or running at the end, when all had been given the time
refused               an answer that no call should get: an error of the service's own, or the refusal of a right request
leftover              a key that is there at the end, when every message is settled

An unanswered call, or one answered with 503, may or may not have taken effect, or take effect later. With ``appendfsync
everysec`` and no more durability asked for, what was answered less than three seconds before the store died may be undone;
that is counted apart.
"""

from __future__ import annotations

from tests.chaos.history import Call, History
from tests.chaos.repeats import UNDONE_US, judge_repeats
from tests.chaos.timeline import Message, Timeline, answered, timeline, unsure
from tests.chaos.verdict import Kind, Verdict, Violation

_ALLOWED = {"schedule": {202}, "cancel": {200, 404, 409}, "change": {200, 404, 409}, "deliver_now": {202, 404, 409},
            "replay": {202, 404, 409}}  # fmt: skip
_UNSETTLED = {"scheduled", "ready", "running", "retrying", "waiting"}


def judge(history: History) -> Verdict:
    """Every promise that the history shows broken, and the counts for a report."""
    line, verdict = timeline(history), Verdict()
    for message in line.messages.values():
        _judge_message(message, line, verdict)
    for leftover in line.leftovers:
        _violate(verdict, "leftover", None, f"{leftover.key}: {leftover.content}")
    verdict.runs = len(line.runs)
    return verdict


def _judge_message(message: Message, line: Timeline, verdict: Verdict) -> None:
    _judge_calls(message, line, verdict)
    if not message.of("schedule"):
        _violate(verdict, "strange", message, "nobody scheduled it")
        return
    if message.accepted is not None:
        verdict.accepted += 1
    _judge_ids(message, verdict)
    _judge_end(message, line, verdict)
    _judge_cancelling(message, line, verdict)
    _judge_first_start(message, line, verdict)
    judge_repeats(message, line, verdict)
    _judge_number(message, line, verdict)


def _violate(verdict: Verdict, kind: Kind, message: Message | None, text: str) -> None:
    verdict.violations.append(Violation(kind, message.ref if message else "", text))


def _judge_calls(message: Message, line: Timeline, verdict: Verdict) -> None:
    for call in message.calls:
        if unsure(call) or message.position(call) > 0:
            continue
        if call.status not in _ALLOWED[call.operation]:
            _violate(verdict, "refused", message, f"{call.operation} was answered with {call.status}")
        elif call.status == 404 and message.accepted is not None and not _forgotten(message.accepted, line):
            _violate(verdict, "contradiction", message, f"{call.operation} of an accepted message was answered with 404")


def _judge_ids(message: Message, verdict: Verdict) -> None:
    answered_ids = {call.ids[message.position(call)] for call in message.of("schedule") if answered(call)}
    run_ids = {run.start.id for run in message.runs}
    if len(answered_ids | run_ids) > 1:
        _violate(verdict, "strange", message, f"one request has several ids: {', '.join(sorted(answered_ids | run_ids))}")


def _judge_end(message: Message, line: Timeline, verdict: Verdict) -> None:
    """What became of it, and whether that may be."""
    # Also a run that returned past its deadline: a worker that was frozen meanwhile may have counted it as delivered.
    returned = any(run.end is not None and run.end.ending == "returned" for run in message.runs)
    cancelling = [call for call in message.of("cancel") if answered(call) or unsure(call)]
    state = message.finals[-1].state if message.finals else "unknown"
    became = "delivered" if returned and state in {"delivered", "unknown"} else state
    verdict.ends[became] += 1
    if state in _UNSETTLED:
        _violate(verdict, "unsettled", message, f"it is still {state} at the end, {len(message.runs)} runs")
    elif state == "delivered" and not returned:
        _violate(verdict, "contradiction", message, "it is said to be delivered, and no handler returned")
    elif state == "cancelled" and not cancelling:
        _violate(verdict, "contradiction", message, "it is said to be cancelled, and nobody cancelled it")
    elif state == "expired" and not any(0 < call.expires_us <= message.finals[-1].at_us for call in message.of("schedule")):
        _violate(verdict, "contradiction", message, "it is said to have expired before its time")
    elif state == "dead":
        _judge_death(message, line, verdict)
    elif message.accepted is not None and not returned and state == "unknown" and not any(answered(call) for call in cancelling):
        if _forgotten(message.accepted, line):
            verdict.undone["an accept lost"] += 1
        else:
            _violate(verdict, "lost", message, f"accepted at {message.accepted.until_us}; {len(message.runs)} runs; {state}")


def _judge_death(message: Message, line: Timeline, verdict: Verdict) -> None:
    if any(run.ending == "dead" for run in message.runs):
        return
    spent = sum(1 for run in message.runs if run.ending != "returned")
    first_us = message.calls[0].at_us
    if spent < line.rules.max_attempts and not line.faults.any_loss(first_us, message.finals[-1].at_us):
        _violate(verdict, "wrongly dead", message, f"a dead letter after {spent} attempts")
    elif spent < line.rules.max_attempts and spent == 0:
        _violate(verdict, "wrongly dead", message, "a dead letter, and it never ran")


def _judge_cancelling(message: Message, line: Timeline, verdict: Verdict) -> None:
    for call in message.of("cancel"):
        if not answered(call):
            continue
        after = [run for run in message.runs if run.start.at_us > call.until_us]
        if after and _forgotten(call, line):
            verdict.undone["a cancelling undone"] += 1
        elif after:
            start = after[0].start
            text = f"{start.id} by {start.worker} {(start.at_us - call.until_us) / 1000:.1f} ms after the answer"
            _violate(verdict, "ran though cancelled", message, text)
        if any(run.ending == "returned" and run.start.at_us <= call.until_us for run in message.runs):
            _violate(verdict, "contradiction", message, "its cancelling was accepted, and it was delivered before")


def _judge_first_start(message: Message, line: Timeline, verdict: Verdict) -> None:
    if not message.runs:
        return
    first = message.runs[0].start
    earliest_us = _earliest(message, first.at_us)
    if first.at_us < earliest_us:
        text = f"{first.id} by {first.worker} {(earliest_us - first.at_us) / 1000:.3f} ms before its time ({earliest_us})"
        _violate(verdict, "early", message, text)
    accepted_us = message.calls[0].at_us
    if first.attempt != 1 and not line.faults.any_loss(accepted_us, first.at_us):
        _violate(verdict, "attempts", message, f"its first run is attempt {first.attempt}, and nothing had been lost")


def _earliest(message: Message, started_us: int) -> int:
    """The earliest time at which it may have been due, by what its callers know, for a first start at that time."""
    due_us = min(call.earliest_us[message.position(call)] for call in message.of("schedule") if call.status in {0, 202, 503})
    possible = list[int]()  # by calls of which nobody knows whether, or when, they take effect
    for call in message.of("change", "deliver_now"):
        if call.at_us > started_us or not (answered(call) or unsure(call)):
            continue
        wanted_us = call.earliest_us[0] if call.operation == "change" else call.at_us // 1000 * 1000
        if unsure(call):
            possible.append(wanted_us)
        else:  # known to have taken effect: before the start, since it is too late after it
            due_us = wanted_us
    return min([due_us, *possible])


def _judge_number(message: Message, line: Timeline, verdict: Verdict) -> None:
    most = max((run.start.attempt for run in message.runs), default=0)
    if most > line.rules.max_attempts:
        _violate(verdict, "attempts", message, f"attempt {most} of at most {line.rules.max_attempts}")


def _forgotten(call: Call, line: Timeline) -> bool:
    """Whether the store may have forgotten what this call was answered."""
    if line.rules.appendfsync == "always" or call.reached != "memory":
        return False
    return line.faults.store_died_within(call.at_us, call.until_us - call.at_us + UNDONE_US)
