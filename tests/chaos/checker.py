"""Judges a history by the promises alone. It knows nothing of how the service is made, and shares no code with it.

What it decides, for each message:

lost                  accepted with a 2xx, and neither run to its end nor cancelled, expired or dead
early                 a start before the due time that its callers know of, or a retry before its backoff was over
overlap               run by two workers at once while both were healthy; or twice at once by one, whatever had hit it
repeated              run again after its delivery was settled for sure
duplicate             any other second delivery where the first one's worker had not died, hung or been cut off while it held it
attempts              an attempt that is skipped without a loss, counts backwards, or is more than the policy allows
ran though cancelled  a start after its cancelling was answered with 2xx
strange               a message or an id that no call made; two ids for one request; one id for two
contradiction         the API says what the runs and calls deny
unsafe                answered with a 2xx, and less safe than was asked for
wrongly dead          a dead letter whose attempts were not spent and that nobody asked to be one
unsettled             still waiting or running at the end, when all had been given the time
refused               an answer that no call should get: an error of the service's own, or the refusal of a right request
leftover              a key that is there at the end, when every message is settled
crowded               more messages of a flow key run at once than its limit allows

An unanswered call, or one answered with 503, may or may not have taken effect, or take effect later.

What the store forgets is counted apart. With ``appendfsync everysec`` that is what was written less than three seconds before
it died, where no more durability was reached; with any, what was written so long before, or while, another server took over,
where no replica had it for sure.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from tests.chaos.crowding import judge_crowding
from tests.chaos.due import judge_due
from tests.chaos.ends import judge_cancelling, judge_end
from tests.chaos.excuses import forgotten
from tests.chaos.history import Call, History
from tests.chaos.repeats import judge_repeats
from tests.chaos.timeline import Message, Timeline, answered, timeline, unsure
from tests.chaos.verdict import Verdict

_ALLOWED = {"schedule": {202}, "cancel": {200, 404, 409}, "change": {200, 404, 409}, "deliver_now": {202, 404, 409},
            "replay": {202, 404, 409}}  # fmt: skip


def judge(history: History) -> Verdict:
    """Every promise that the history shows broken, and the counts for a report."""
    line, verdict = timeline(history), Verdict()
    for message in line.messages.values():
        _judge_message(message, line, verdict)
    _judge_shared_ids(line, verdict)
    for leftover in line.leftovers:
        verdict.violate("leftover", "", f"{leftover.key}: {leftover.content}")
    judge_crowding(line, verdict)
    verdict.runs = len(line.runs)
    return verdict


def _judge_message(message: Message, line: Timeline, verdict: Verdict) -> None:
    _judge_calls(message, line, verdict)
    if not any(answered(call) or unsure(call) for call in message.of("schedule")):
        if message.runs or message.finals:
            verdict.violate("strange", message.ref, "nobody scheduled it")
        return
    if message.accepted is not None:
        verdict.accepted += 1
    _judge_ids(message, line, verdict)
    judge_end(message, line, verdict)
    judge_cancelling(message, line, verdict)
    _judge_first_start(message, line, verdict)
    judge_repeats(message, line, verdict)
    _judge_number(message, line, verdict)


def _judge_calls(message: Message, line: Timeline, verdict: Verdict) -> None:
    for call in message.calls:
        if unsure(call) or message.position(call) > 0:
            continue
        if call.status not in _ALLOWED[call.operation]:
            verdict.violate("refused", message.ref, f"{call.operation} was answered with {call.status}")
        elif call.status == 404 and message.accepted is not None and not forgotten(message.accepted, call.until_us, line):
            verdict.violate("contradiction", message.ref, f"{call.operation} of an accepted message was answered with 404")
        elif answered(call) and line.rules.durability not in {"memory", call.reached}:
            text = f"{call.operation} was answered with {call.status} when it had reached {call.reached}"
            verdict.violate("unsafe", message.ref, text)


def _judge_ids(message: Message, line: Timeline, verdict: Verdict) -> None:
    calls = message.of("schedule")
    if any(answered(call) and not call.ids for call in calls):
        verdict.violate("strange", message.ref, "it was accepted, and no id was named")
    ids = _ids(message)
    if len(ids) <= 1:
        return
    if any(forgotten(call, again.at_us, line) for call, again in pairwise(calls)):
        verdict.undone["a request stored anew"] += 1
    else:
        verdict.violate("strange", message.ref, f"one request has several ids: {', '.join(sorted(ids))}")


def _judge_shared_ids(line: Timeline, verdict: Verdict) -> None:
    refs = defaultdict[str, list[str]](list)
    for message in line.messages.values():
        for name in _ids(message):
            refs[name].append(message.ref)
    for name, sharing in refs.items():
        if len(sharing) > 1:
            verdict.violate("strange", sharing[0], f"{name} is the id of several: {', '.join(sharing)}")


def _ids(message: Message) -> set[str]:
    named = {call.ids[message.position(call)] for call in message.of("schedule") if answered(call) and call.ids}
    return named | {run.start.id for run in message.runs}


def _judge_first_start(message: Message, line: Timeline, verdict: Verdict) -> None:
    if not message.runs:
        return
    first, calls = message.runs[0], [call for call in message.of("schedule") if answered(call) or unsure(call)]
    due_us = min(_asked_us(message, call) for call in calls)
    early_us, undone = judge_due(message, first, due_us, message.calls[0].at_us, line)
    if undone:
        verdict.undone["a change undone"] += 1
    elif early_us > 0:
        text = f"{first.start.id} by {first.start.worker} {early_us / 1000:.3f} ms before its time"
        verdict.violate("early", message.ref, text)
    lost = line.faults.losses(message.calls[0].at_us, first.start.at_us, line.rules.lease_us)
    if first.start.attempt > 1 + lost:
        verdict.violate("attempts", message.ref, f"its first run is attempt {first.start.attempt}, and {lost} had been lost")


def _asked_us(message: Message, call: Call) -> int:
    return call.earliest_us[message.position(call)]


def _judge_number(message: Message, line: Timeline, verdict: Verdict) -> None:
    most = max((run.start.attempt for run in message.runs), default=0)
    if most > line.rules.max_attempts:
        verdict.violate("attempts", message.ref, f"attempt {most} of at most {line.rules.max_attempts}")
