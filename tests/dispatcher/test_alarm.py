"""The alarm rings at its time, whatever becomes of the host's clock, and forgets no ring."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from dispatcher import alarm as alarm_module
from dispatcher.alarm import JOB, STRETCH_S, Alarm
from tests.support.waiting import eventually

HOUR_S = 3_600


class Work:
    """Notes when it runs; holds a run while it is told to."""

    def __init__(self) -> None:
        self.runs_s: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> None:
        self.runs_s.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.go.wait()
        self.at_once -= 1


@pytest.fixture
async def scheduler() -> AsyncIterator[AsyncIOScheduler]:
    started = AsyncIOScheduler(timezone="UTC")
    started.start()
    yield started
    started.shutdown(wait=False)


@pytest.fixture
def work() -> Work:
    return Work()


async def _runs(work: Work, count: int) -> None:
    await eventually(lambda: len(work.runs_s) >= count, within_s=5, what=f"{count} runs; there are {len(work.runs_s)}")


async def test_it_rings_at_its_time_and_not_before(scheduler: AsyncIOScheduler, work: Work) -> None:
    """Set for 50 ms from now, the work runs then, once."""
    alarm, at_s = Alarm(scheduler, work), time.monotonic() + 0.05

    alarm.set(at_s)

    await _runs(work, 1)
    assert work.runs_s[0] >= at_s
    assert scheduler.get_job(JOB) is None
    assert len(work.runs_s) == 1


async def test_a_time_in_the_past_rings_at_once(scheduler: AsyncIOScheduler, work: Work) -> None:
    """However long ago: it is run, and needs no job."""
    alarm = Alarm(scheduler, work)

    alarm.set(time.monotonic() - HOUR_S)

    await _runs(work, 1)
    assert scheduler.get_job(JOB) is None


async def test_an_earlier_time_wins(scheduler: AsyncIOScheduler, work: Work) -> None:
    """An alarm set for an hour from now rings at an earlier time that comes after."""
    alarm = Alarm(scheduler, work)
    alarm.set(time.monotonic() + HOUR_S)

    alarm.set(time.monotonic() + 0.02)

    await _runs(work, 1)


async def test_a_later_time_postpones_nothing(scheduler: AsyncIOScheduler, work: Work) -> None:
    """Set for 20 ms from now, it rings then, though a later time is set afterwards."""
    alarm = Alarm(scheduler, work)
    alarm.set(time.monotonic() + 0.02)

    alarm.set(time.monotonic() + HOUR_S)

    await _runs(work, 1)


async def test_after_a_ring_any_time_can_be_set(scheduler: AsyncIOScheduler, work: Work) -> None:
    """What has rung stands in nobody's way: later times ring as well."""
    alarm = Alarm(scheduler, work)
    alarm.set(time.monotonic())
    await _runs(work, 1)

    alarm.set(time.monotonic() + 0.02)

    await _runs(work, 2)


async def test_a_time_that_is_set_during_a_run_rings(scheduler: AsyncIOScheduler, work: Work) -> None:
    """The next time is known at the end of a run; it is kept."""
    alarm = Alarm(scheduler, work)
    work.go.clear()
    alarm.set(time.monotonic())
    await _runs(work, 1)

    alarm.set(time.monotonic() + 0.02)
    work.go.set()

    await _runs(work, 2)
    assert work.most_at_once == 1


async def test_rings_during_a_run_make_it_run_once_more(scheduler: AsyncIOScheduler, work: Work) -> None:
    """Five rings while the work runs, of every kind: it runs again when it has ended, once, never twice at a time."""
    alarm = Alarm(scheduler, work)
    work.go.clear()
    first = asyncio.create_task(alarm.ring())
    await _runs(work, 1)
    for _ in range(4):
        await alarm.ring()
    alarm.set(time.monotonic() - 1)
    await asyncio.sleep(0)
    assert len(work.runs_s) == 1

    work.go.set()
    await first

    assert len(work.runs_s) == 2
    assert work.most_at_once == 1


async def test_a_run_that_fails_does_not_stop_the_next(scheduler: AsyncIOScheduler) -> None:
    """The error goes to whoever rang; the alarm rings again all the same."""
    runs = []

    async def fail() -> None:
        runs.append(1)
        raise ValueError("no")

    alarm = Alarm(scheduler, fail)

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await alarm.ring()

    assert len(runs) == 2


async def test_the_timer_rings_where_the_scheduler_does_not(scheduler: AsyncIOScheduler, work: Work) -> None:
    """APScheduler is paused, as it seems when the host's clock is set back: the work runs in time."""
    alarm, at_s = Alarm(scheduler, work), time.monotonic() + 0.1
    scheduler.pause()

    alarm.set(at_s)

    await _runs(work, 1)
    assert work.runs_s[0] >= at_s
    assert scheduler.get_job(JOB) is not None


async def test_the_schedulers_job_sets_the_timer_for_the_last_stretch(
    scheduler: AsyncIOScheduler, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the timer an hour behind, APScheduler's job brings it forward, and the work runs in time."""
    monkeypatch.setattr(alarm_module, "BEHIND_S", HOUR_S)
    alarm, at_s = Alarm(scheduler, work), time.monotonic() + STRETCH_S + 0.03

    alarm.set(at_s)
    assert scheduler.get_job(JOB) is not None

    await _runs(work, 1)
    assert work.runs_s[0] >= at_s


async def test_a_time_that_is_near_needs_no_job(scheduler: AsyncIOScheduler, work: Work) -> None:
    """At a thousand due times a second, jobs would be most of the work."""
    alarm, at_s = Alarm(scheduler, work), time.monotonic() + STRETCH_S / 2

    alarm.set(at_s)

    assert scheduler.get_job(JOB) is None
    await _runs(work, 1)
    assert work.runs_s[0] >= at_s


async def test_a_host_clock_that_jumps_ahead_rings_nobody_early(scheduler: AsyncIOScheduler, work: Work) -> None:
    """The job comes early, and the timer rings in time."""
    alarm, at_s = Alarm(scheduler, work), time.monotonic() + 0.2
    alarm.set(at_s)

    scheduler.reschedule_job(JOB, trigger=DateTrigger(datetime.now(UTC) - timedelta(hours=1)))
    await eventually(lambda: scheduler.get_job(JOB) is None, what="the job came")
    assert work.runs_s == []

    await _runs(work, 1)
    assert work.runs_s[0] >= at_s


async def test_a_stopped_alarm_cannot_be_set(scheduler: AsyncIOScheduler, work: Work) -> None:
    """A wake-up that comes while the dispatcher stops starts nothing."""
    alarm = Alarm(scheduler, work)
    await alarm.stop()

    alarm.set(time.monotonic() + HOUR_S)

    assert scheduler.get_job(JOB) is None


async def test_a_job_far_in_the_past_still_runs(scheduler: AsyncIOScheduler, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """APScheduler's defaults skip a job that is a second late: this one is run an hour late, once."""
    monkeypatch.setattr(alarm_module, "BEHIND_S", HOUR_S)
    alarm = Alarm(scheduler, work)
    scheduler.pause()
    alarm.set(time.monotonic() + STRETCH_S + 0.01)
    scheduler.modify_job(JOB, next_run_time=datetime.now(UTC) - timedelta(hours=1))
    assert work.runs_s == []

    scheduler.resume()

    await _runs(work, 1)
    assert len(work.runs_s) == 1
