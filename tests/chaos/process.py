"""``python -m tests.chaos.process producer``: that service, with a host clock that can be stepped from outside.

The file that ``CHAOS_CLOCK`` names holds the seconds by which the wall clock is wrong. Whatever asks Python for the wall clock
is told the wrong time, from then on; the monotonic clock stays true, as it does when a real clock is stepped.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from pathlib import Path

import time_machine

LOOK_S = 0.02
ORDERED = 9
"""Exit code of a worker whose handler was told to end it."""


def _offset_ns() -> int:
    """Wall clock minus monotonic clock. The process may lose its core between two readings: the quickest of many counts."""
    readings = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(50)]
    before, wall, after = min(readings, key=lambda reading: reading[2] - reading[0])
    return wall - (before + after) // 2


_OFFSET_NS = _offset_ns()
"""Taken before anybody lies: the monotonic clock always tells the truth."""


def true_us() -> int:
    """The true time, whatever this process is told. Microseconds since the epoch."""
    return (time.monotonic_ns() + _OFFSET_NS) // 1000


def _follow(file: Path) -> None:
    traveller: time_machine.travel | None = None
    wrong_s = 0.0
    while True:
        time.sleep(LOOK_S)
        try:
            asked_s = float(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there yet, or just being written
            continue
        if asked_s != wrong_s:
            if traveller is not None:
                traveller.stop()
            traveller, wrong_s = time_machine.travel(true_us() / 1e6 + asked_s, tick=True), asked_s
            traveller.start()


if __name__ == "__main__":
    threading.Thread(target=_follow, args=(Path(os.environ["CHAOS_CLOCK"]),), daemon=True).start()
    service = sys.argv.pop(1)
    runpy.run_module(service, run_name="__main__", alter_sys=True)
