"""Handlers of a chaos run: they do what the body orders, and note each start and end by the true clock."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from secrets import token_hex

import msgspec

from consumers import Dead, Message, handler
from tests.chaos.history import End, Ending, Order, Start, append, ref_of
from tests.chaos.process import ORDERED, true_us

FOLDER = Path(os.environ.get("CHAOS_FOLDER", "."))
NAME = os.environ.get("CHAOS_NAME", "")
HANG_S = 2.5
"""Longer than the deadline of every topic here."""


class Body(msgspec.Struct, frozen=True):
    """What a message of a chaos run carries."""

    ref: str
    order: Order


_body = msgspec.json.Decoder(Body).decode
"""Made once, here: where several threads are the first to decode a type, msgspec 0.22 may read what is only half made."""


class Run:
    """One run of a handler. Leaving it notes how it ended, unless its deadline had taken it away."""

    def __init__(self, message: Message) -> None:
        self.body = _body(message.body)
        self.message = message
        ref = self.body.ref if message.occurrence_ms is None else ref_of(self.body.ref, message.occurrence_ms)
        self._id = token_hex(8)
        append(
            FOLDER / f"{NAME}.jsonl",
            Start(
                at_us=true_us(), run=self._id, ref=ref, id=message.id, attempt=message.attempt, worker=NAME
            ),
        )  # fmt: skip

    def sleep_s(self) -> float:
        """How long it is to take; ends the process where that is what was ordered."""
        order, attempt = self.body.order, self.message.attempt
        if order.kill_runs > 0 and self._is_among_first(order.kill_runs):
            os._exit(ORDERED)
        return HANG_S if attempt <= order.hang_attempts else order.sleep_ms / 1000

    def _is_among_first(self, count: int) -> bool:
        """Counts the runs of all processes."""
        file = os.open(FOLDER / f"kill-{self.body.ref}", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(file, b"x")
        runs = os.fstat(file).st_size
        os.close(file)
        return runs <= count

    def conclude(self) -> None:
        order, attempt = self.body.order, self.message.attempt
        if attempt <= max(order.hang_attempts, order.fail_attempts):
            self._note("failed")
            raise RuntimeError("as ordered")
        if order.dead:
            self._note("dead")
            raise Dead("as ordered")
        self._note("returned")

    def _note(self, ending: Ending) -> None:
        append(FOLDER / f"{NAME}.jsonl", End(at_us=true_us(), run=self._id, ending=ending))


@handler("chaos")
def chaos(message: Message) -> None:
    run = Run(message)
    time.sleep(run.sleep_s())
    run.conclude()


@handler("chaos-async")
async def chaos_async(message: Message) -> None:
    run = Run(message)
    await asyncio.sleep(run.sleep_s())
    run.conclude()
