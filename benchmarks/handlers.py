"""The handlers that the benchmarks' topics have: they mark the start, and hold the message where they are told to."""

from __future__ import annotations

import asyncio
import os
import time

from benchmarks.marks import Marks
from consumers import Message, handler

HOLD_S = 600.0
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


@handler("bench-async")
async def bench_async(message: Message) -> None:
    _marks.start(message.body)
    if _holds:
        await asyncio.sleep(HOLD_S)
