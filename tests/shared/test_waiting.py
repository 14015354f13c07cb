"""Waiting out an outage, and ending what waits."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import Outage
from shared.waiting import OutageWatch, end, until_it_works


async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    """What Python 3.11's ``wait_for`` does now and then must not keep a process from stopping."""
    cancellations = 0

    async def loses_the_first() -> None:
        nonlocal cancellations
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations += 1
                if cancellations > 1:
                    raise

    task = asyncio.create_task(loses_the_first())
    await asyncio.sleep(0)

    await end(task)

    assert task.cancelled()
    assert cancellations == 2


async def test_ending_takes_tasks_that_failed_or_are_done() -> None:
    """The error of a task that ended by itself is not raised again at the end of all."""

    async def fails() -> None:
        raise ValueError("by itself")

    tasks = [asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.wait(tasks)

    await end(*tasks)

    assert [task.done() for task in tasks] == [True, True]


async def test_work_is_repeated_until_it_raises_no_outage() -> None:
    """Every process waits out an outage and goes on with the result."""
    answers = iter((Outage("connection", "refused"), Outage("loading", "reading"), "done"))

    async def work() -> str:
        answer = next(answers)
        if isinstance(answer, Outage):
            raise answer
        return answer

    assert await until_it_works("test", work) == "done"


async def test_an_error_that_is_no_outage_is_raised_at_once() -> None:
    """Programmer errors crash loudly."""

    async def work() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await until_it_works("test", work)


def test_the_watch_counts_outages_in_a_row_and_waits_longer_each_time() -> None:
    """The wait grows with each failure, stays within its cap, and starts anew after a success."""
    watch = OutageWatch("test")

    waits_s = [watch.failed(Outage("connection", "refused")) for _ in range(20)]

    assert watch.failures == 20
    assert "refused" in watch.last
    assert waits_s[0] < 0.1
    assert 1 < waits_s[-1] <= 2
    watch.worked()
    assert (watch.failures, watch.last) == (0, "")
