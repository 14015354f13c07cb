"""Waiting for the starts of messages."""

from __future__ import annotations

import time

from benchmarks.marks import Marks
from benchmarks.processes import Process

LOOK_S = 0.002


class NotInTime(RuntimeError):
    """Fewer messages were started than were waited for; the text says how many."""


def why(error: RuntimeError) -> str:
    """Why there is no figure, in a line: a peer that fails is told of, and keeps nobody else from being measured."""
    return str(error).strip().splitlines()[-1][:200]


def await_started(marks: Marks, count: int, within_s: float, *processes: Process) -> None:
    """Until so many messages were started. Raises ``NotInTime``."""
    until = time.monotonic() + within_s
    while (started := marks.started()) < count:
        for process in processes:
            process.check()
        if time.monotonic() > until:
            raise NotInTime(f"{started:,} of {count:,} within {within_s:.0f} s")
        time.sleep(LOOK_S)
