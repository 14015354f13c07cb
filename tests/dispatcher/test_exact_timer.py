"""The timer calls once, at its time and not before, and not when it was taken back."""

from __future__ import annotations

import asyncio
import time

import pytest

from dispatcher import exact_timer
from dispatcher.exact_timer import ExactTimer
from tests.support.waiting import eventually


class Rung:
    def __init__(self) -> None:
        self.at_s: list[float] = []

    def __call__(self) -> None:
        self.at_s.append(time.monotonic())


@pytest.fixture
def rung() -> Rung:
    return Rung()


@pytest.fixture(params=["timerfd", "the loop's own"])
def timer(rung: Rung, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ExactTimer:
    """Of either kind, where there are two."""
    if request.param == "the loop's own":
        monkeypatch.setattr(exact_timer, "_LIBC", None)
    return ExactTimer(rung)


async def test_it_calls_once_and_not_before_its_time(timer: ExactTimer, rung: Rung) -> None:
    """Ten times one after the other: never early."""
    for number in range(10):
        at_s = time.monotonic() + 0.0037
        timer.set(at_s)
        assert timer.is_set
        await eventually(lambda: len(rung.at_s) > number)  # noqa: B023 - awaited in this very turn
        assert len(rung.at_s) == number + 1
        assert rung.at_s[-1] >= at_s
        assert not timer.is_set
    timer.close()


async def test_a_time_in_the_past_calls_soon(timer: ExactTimer, rung: Rung) -> None:
    """Also the first moment of all."""
    for at_s in (time.monotonic() - 10, 0.0, -5.0):
        timer.set(at_s)
        await eventually(lambda: bool(rung.at_s))
        rung.at_s.clear()
    timer.close()


async def test_the_last_time_set_is_the_one(timer: ExactTimer, rung: Rung) -> None:
    """Set again, for later or for sooner, it calls once."""
    timer.set(time.monotonic() + 3600)
    timer.set(time.monotonic() + 0.001)
    timer.set(later := time.monotonic() + 0.02)
    await eventually(lambda: bool(rung.at_s))

    assert rung.at_s[0] >= later
    assert len(rung.at_s) == 1
    timer.close()


async def test_what_is_taken_back_does_not_call(timer: ExactTimer, rung: Rung) -> None:
    """Cancelled, also when its time has come and the loop has not looked yet."""
    timer.set(at_s := time.monotonic() + 0.001)
    while time.monotonic() < at_s + 0.002:  # the loop is held up beyond the time
        pass
    timer.cancel()
    other: list[int] = []
    asyncio.get_running_loop().call_later(0.01, other.append, 1)
    await eventually(lambda: bool(other))

    assert (rung.at_s, timer.is_set) == ([], False)
    timer.close()


async def test_a_closed_timer_can_be_set_again(timer: ExactTimer, rung: Rung) -> None:
    """Closing lets go of the file and no more."""
    timer.set(time.monotonic() + 3600)
    timer.close()
    assert rung.at_s == []

    timer.set(time.monotonic())

    await eventually(lambda: bool(rung.at_s))
    timer.close()
