"""Recurring schedules by whole processes: killed, started again, gone for a while."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from shared.times import parse_time_ms
from tests.support.waiting import eventually
from tests.system.conftest import MakeService
from tests.system.service import Service

EVERY_MS, RUNS = 100, 80


async def _until_run(service: Service, schedule_id: str, runs: int) -> Any:
    """The schedule once it has made that many."""

    async def look() -> Any:
        _, found = await service.call("GET", f"/schedules/{schedule_id}")
        return found if found["runs"] >= runs else None

    return await eventually(look, within_s=60, what=f"{schedule_id} has run {runs} times")


@pytest.mark.leaves("schedule")
async def test_dispatchers_that_are_killed_and_started_again_make_each_occurrence_once(make_service: MakeService) -> None:
    """Two of them; one is killed, then both, with nobody there for a second; new ones make up what was missed.

    Eighty occurrences, a tenth of a second apart, of a schedule by interval, and one a second by cron: each has one message at
    its time, each message is delivered once, and none is early.
    """
    service = make_service()
    await service.start(dispatchers=2, consumers=2)
    message = {"topic": "work", "retention_ms": 600_000}
    await service.call(
        "PUT", "/schedules/quick", {"every": f"{EVERY_MS}ms", "max_runs": RUNS, "catch_up": "all", "message": message}
    )
    await service.call("PUT", "/schedules/seconds", {"cron": "* * * * * *", "max_runs": 7, "catch_up": "all", "message": message})
    await _until_run(service, "quick", 10)

    service.named("dispatcher")[0].kill()
    await _until_run(service, "quick", 20)
    service.named("dispatcher")[1].kill()
    _, alone = await service.call("GET", "/schedules/quick")
    gone_s = time.monotonic() + 1.0
    await eventually(lambda: time.monotonic() > gone_s, what="ten occurrences have passed with nobody there")
    assert (await service.call("GET", "/schedules/quick"))[1]["runs"] == alone["runs"]
    for _ in range(2):
        service.spawn("dispatcher")

    made: dict[str, int] = {}
    for schedule_id, runs, apart_ms in (("quick", RUNS, EVERY_MS), ("seconds", 7, 1_000)):
        ended = await _until_run(service, schedule_id, runs)
        assert (ended["status"], ended["missed"], ended["skipped"]) == ("ended", 0, 0)
        _, shown = await service.call("GET", f"/schedules/{schedule_id}")
        times = [parse_time_ms(run["at"]) for run in reversed(shown["past_runs"])]
        assert times == list(range(times[0], times[0] + apart_ms * len(times), apart_ms))
        made |= {run["message_id"]: parse_time_ms(run["at"]) for run in shown["past_runs"]}
    await service.all_ended(RUNS + 7)
    await service.drained()
    starts = service.records("start")
    assert Counter(Counter(one["id"] for one in starts).values()) == {1: RUNS + 7}
    assert [one for one in starts if one["started_ms"] < one["due_ms"]] == []
    assert made.items() <= {one["id"]: one["due_ms"] for one in starts}.items()
