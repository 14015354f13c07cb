"""Groups: what is asked for while a group is at work goes together in the next one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from shared.errors import Outage
from shared.store.groups import Groups, NotBegun
from tests.support.waiting import eventually


class Work:
    """Notes its groups. Each waits until it is let go, with the answers or the error that it is given then."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self._ends: list[asyncio.Future[list[Any] | None]] = []

    async def __call__(self, group: list[str]) -> list[Any]:
        self.groups.append(group)
        self._ends.append(asyncio.get_running_loop().create_future())
        answers = await self._ends[-1]
        return [one.upper() for one in group] if answers is None else answers

    def has_begun(self, number: int) -> bool:
        return len(self.groups) == number

    async def let_go(self, number: int = -1, *, error: Exception | None = None, answers: list[Any] | None = None) -> None:
        await eventually(lambda: len(self._ends) == len(self.groups))
        if error:
            self._ends[number].set_exception(error)
        else:
            self._ends[number].set_result(answers)


@pytest.fixture
def work() -> Work:
    return Work()


async def ask(groups: Groups[str], names: str, size_bytes: int = 0) -> list[asyncio.Task[Any]]:
    """Asks for each letter; returns once all have been asked for."""
    calls = [asyncio.create_task(groups.run(name, size_bytes)) for name in names]
    await asyncio.gather(asyncio.sleep(0))
    return calls


async def test_what_comes_while_a_group_is_at_work_goes_in_the_next(work: Work) -> None:
    """One group at a time: the first with what came in the same step, the next with all that came meanwhile."""
    groups = Groups(work, at_once=1, most=10)
    first = await ask(groups, "ab")
    await eventually(lambda: work.groups == [["a", "b"]])
    second = await ask(groups, "cde")
    await work.let_go()
    assert await asyncio.gather(*first) == ["A", "B"]

    await eventually(lambda: work.groups == [["a", "b"], ["c", "d", "e"]])
    await work.let_go()

    assert await asyncio.gather(*second) == ["C", "D", "E"]
    third = await ask(groups, "f")
    await eventually(lambda: work.groups[2:] == [["f"]])
    await work.let_go()
    assert await asyncio.gather(*third) == ["F"]


async def test_as_many_groups_as_allowed_are_at_work_at_once(work: Work) -> None:
    """The third of two waits for either."""
    groups = Groups(work, at_once=2, most=10)
    calls = await ask(groups, "a")
    await eventually(lambda: work.groups == [["a"]])
    calls += await ask(groups, "b")
    await eventually(lambda: work.groups == [["a"], ["b"]])
    calls += await ask(groups, "c")
    assert work.groups == [["a"], ["b"]]

    await work.let_go(0)

    await eventually(lambda: work.groups == [["a"], ["b"], ["c"]])
    await work.let_go(1)
    await work.let_go(2)
    assert await asyncio.gather(*calls) == ["A", "B", "C"]


@pytest.mark.parametrize(("most", "most_bytes"), [(2, 1000), (10, 25)])
async def test_a_group_has_bounds(work: Work, most: int, most_bytes: int) -> None:
    """In number and in bytes; what is larger than all of them goes alone."""
    groups = Groups(work, at_once=1, most=most, most_bytes=most_bytes)
    calls = [*await ask(groups, "abc", 10), *await ask(groups, "d", 100)]

    wanted = [["a", "b"], ["c"], ["d"]] if most > 2 else [["a", "b"], ["c", "d"]]
    for begun in range(1, len(wanted) + 1):
        await eventually(partial(work.has_begun, begun))
        await work.let_go()

    assert await asyncio.gather(*calls) == ["A", "B", "C", "D"]
    assert work.groups == wanted


async def test_an_outage_is_told_to_each_of_the_group_and_to_nobody_else(work: Work) -> None:
    """Each gets an error of its own, and the next group goes on."""
    groups = Groups(work, at_once=1, most=10)
    first = await ask(groups, "ab")
    await eventually(lambda: len(work.groups) == 1)
    second = await ask(groups, "c")

    await work.let_go(error=Outage("connection", "it broke"))

    failures = await asyncio.gather(*first, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["connection: it broke"] * 2
    assert failures[0] is not failures[1]
    await eventually(lambda: len(work.groups) == 2)
    await work.let_go()
    assert await asyncio.gather(*second) == ["C"]


async def test_silence_is_told_to_all_that_wait(work: Work) -> None:
    """Nobody waits for one time-out after the other: what was not sent is told so at once, and what comes later is tried."""
    groups = Groups(work, at_once=1, most=2)
    first = await ask(groups, "a")
    await eventually(lambda: len(work.groups) == 1)
    waiting = await ask(groups, "bcdef")

    await work.let_go(error=Outage("timeout", "no answer"))

    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(failure) for failure in failures} == {NotBegun}
    assert {str(failure) for failure in failures} == {"timeout: no answer"}
    assert not isinstance((await asyncio.gather(*first, return_exceptions=True))[0], NotBegun)
    later = await ask(groups, "g")
    await eventually(lambda: len(work.groups) == 2)
    await work.let_go()
    assert await asyncio.gather(*later) == ["G"]


async def test_an_answer_may_be_an_error_for_one(work: Work) -> None:
    """The others of its group get what they asked for."""
    groups = Groups(work, at_once=1, most=10)
    calls = await ask(groups, "abc")
    await eventually(lambda: len(work.groups) == 1)

    await work.let_go(answers=["A", ValueError("b is bad"), "C"])

    found = await asyncio.gather(*calls, return_exceptions=True)
    assert (found[0], str(found[1]), found[2]) == ("A", "b is bad", "C")


async def test_a_caller_who_goes_away_takes_nothing_of_others_along(work: Work) -> None:
    """Whether its own has begun or not: the work of the group goes on, and what has not begun is left out."""
    groups = Groups(work, at_once=1, most=10)
    first = await ask(groups, "ab")
    await eventually(lambda: len(work.groups) == 1)
    second = await ask(groups, "cd")

    first[0].cancel()
    second[0].cancel()
    await asyncio.gather(first[0], second[0], return_exceptions=True)
    await work.let_go()

    assert await first[1] == "B"
    await eventually(lambda: work.groups == [["a", "b"], ["d"]])
    await work.let_go()
    assert await second[1] == "D"
