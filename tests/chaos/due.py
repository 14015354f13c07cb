"""When a message may be started at the earliest, by what its callers know."""

from __future__ import annotations

from tests.chaos.broken import FOR_EVER_US
from tests.chaos.excuses import forgotten, settled
from tests.chaos.history import Call
from tests.chaos.timeline import Message, Ran, Timeline, answered, unsure


def judge_due(message: Message, run: Ran, due_us: int, waits_from_us: int, line: Timeline) -> tuple[int, bool]:
    """By how much the run was early, in microseconds; 0 or less: not. And whether only what the store forgot excuses it.

    ``due_us``: the due time that it had when it began to wait, at ``waits_from_us``.
    """
    early_us = _earliest(message, run, due_us, waits_from_us, line, forgetful=False) - run.start.at_us
    excused = early_us > 0 and _earliest(message, run, due_us, waits_from_us, line, forgetful=True) <= run.start.at_us
    return early_us, excused


def _earliest(message: Message, run: Ran, due_us: int, waits_from_us: int, line: Timeline, *, forgetful: bool) -> int:
    possible = [FOR_EVER_US]  # by calls of which nobody knows whether, or when, they take effect
    for call in message.of("change", "deliver_now"):
        if not _may_count(call, run, waits_from_us):
            continue
        wanted_us = call.at_us if call.operation == "deliver_now" else call.earliest_us[message.position(call)]
        if not _counts(call, run, waits_from_us, line) or (forgetful and forgotten(call, run.start.at_us, line)):
            possible.append(wanted_us)
        else:
            due_us = wanted_us
    return min(due_us, *possible)


def _may_count(call: Call, run: Ran, waits_from_us: int) -> bool:
    """Whether the call can have taken effect while the message waited for this run."""
    return call.at_us <= run.start.at_us and (unsure(call) or (answered(call) and call.until_us >= waits_from_us))


def _counts(call: Call, run: Ran, waits_from_us: int, line: Timeline) -> bool:
    """Whether it has, for sure: its answer came before the start, or the run was the last one, after which it is too late."""
    return answered(call) and call.at_us >= waits_from_us and (call.until_us <= run.start.at_us or settled(run, line))
