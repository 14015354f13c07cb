"""A recurring schedule under faults: every occurrence is to be made once, whatever becomes of the dispatchers and the store.

What it made is asked for again and again, since it lists its latest runs only. At the end each occurrence that there should be is
noted as a call that was accepted at its time, so the judge holds its message to all that is promised of any other; one that was
not made is a message that nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiohttp
from msgspec import to_builtins

from tests.chaos.history import AnyEvent, Call, Order, ref_of
from tests.chaos.process import true_us
from tests.chaos.stage import TOPICS, Stage
from tests.support.waiting import eventually

NAME = "tick"
EVERY_MS = 500
LOOK_S = 2.0
"""Less than it takes to make as many runs as are shown."""
WITHIN_S = 30.0
LATEST_MS = 5_000
"""So long before the end the last one was made at least: all is well by then."""


class Recurring:
    """One schedule, from the beginning of the faults to their end."""

    def __init__(self, stage: Stage, note: Callable[[AnyEvent], None]) -> None:
        self._stage, self._note = stage, note
        self._made: dict[int, str] = {}
        """Occurrence (ms) to message id."""
        self._first_ms = 0

    async def start(self) -> None:
        order = to_builtins(Order(sleep_ms=20))
        message = {"topic": TOPICS[0], "body": {"ref": NAME, "order": order}, "retention_ms": 3_600_000}
        schedule = {"every": f"{EVERY_MS}ms", "catch_up": "all", "message": message}
        made = await self._until_answered("PUT", f"/schedules/{NAME}", schedule)
        self._first_ms = _ms(made["next_run"])

    async def watch(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_S)

    async def conclude(self) -> dict[str, str]:
        """Ends it when all is well again, and notes what it should have made. Ref to id of every message."""
        ended_ms = true_us() // 1000
        await eventually(lambda: self._has_made(ended_ms - LATEST_MS), within_s=WITHIN_S, what="the schedule is up to date")
        await self._until_answered("POST", f"/schedules/{NAME}/pause")
        await eventually(self._look, within_s=WITHIN_S, what="the schedule is looked at")
        await self._until_answered("DELETE", f"/schedules/{NAME}")
        for call in calls(self._first_ms, self._made, self._stage.shape.durability):
            self._note(call)
        return {ref_of(NAME, occurrence_ms): message_id for occurrence_ms, message_id in self._made.items()}

    async def _has_made(self, until_ms: int) -> bool:
        await self._look()
        return max(self._made, default=0) >= until_ms

    async def _look(self) -> bool:
        """Whether it was told of the latest runs."""
        status, found = await self._send("GET", f"/schedules/{NAME}")
        if status != 200:
            return False
        for run in found.get("past_runs", ()):
            self._made.setdefault(_ms(run["at"]), run["message_id"])
        return True

    async def _until_answered(self, method: str, path: str, content: object = None) -> Any:
        answers = list[Any]()

        async def answered() -> bool:
            status, found = await self._send(method, path, content)
            answers.append(found)
            return status in {200, 201} or (method == "DELETE" and status == 404)

        await eventually(answered, within_s=WITHIN_S, what=f"{method} {path} is answered")
        return answers[-1]

    async def _send(self, method: str, path: str, content: object = None) -> tuple[int, Any]:
        producers = self._stage.of("producer")
        if not producers:
            return 0, {}
        try:
            async with self._stage.http.request(method, f"{producers[0].url}{path}", json=content) as answer:
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, {}


def calls(first_ms: int, made: dict[int, str], durability: str) -> list[Call]:
    """Every occurrence from the first to the last as a call; ``made``: their messages, as far as there are any."""
    return [
        Call(
            at_us=at_ms * 1000,
            until_us=at_ms * 1000,
            operation="schedule",
            refs=(ref_of(NAME, at_ms),),
            status=202,
            ids=(made.get(at_ms, f"never-made-{at_ms}"),),
            earliest_us=(at_ms * 1000,),
            order=Order(sleep_ms=20),
            reached=durability,  # type: ignore[arg-type] # one of the three
        )
        for at_ms in sorted({*range(first_ms, max(made) + 1, EVERY_MS), *made})
    ]


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
