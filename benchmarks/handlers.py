"""The handlers that the benchmarks' topics have: they mark the start, and hold the message where they are told to."""

from __future__ import annotations

import asyncio
import os
import time

from benchmarks.marks import Marks
from consumers import Message, handler

HOLD_S = 600.0
COMPUTES_S = 0.02
_marks = Marks(os.environ["BENCH_MARKS"])
_holds = os.environ.get("BENCH_HOLD") == "1"


@handler("bench")
def bench(message: Message) -> None:
    _marks.start(message.body)
    if _holds:
        time.sleep(HOLD_S)


@handler("bench-other")
def bench_other(message: Message) -> None:
    _marks.start(message.body)


@handler("bench-busy")
def bench_busy(message: Message) -> None:
    """Holds the interpreter as long as it is let, for so much processor time."""
    _marks.start(message.body)
    until = time.thread_time() + COMPUTES_S
    while time.thread_time() < until:
        pass


@handler("bench-async")
async def bench_async(message: Message) -> None:
    _marks.start(message.body)
    if _holds:
        await asyncio.sleep(HOLD_S)
