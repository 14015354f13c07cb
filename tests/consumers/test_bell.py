"""Many rings, one answer; and none that goes unheard."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from consumers.bell import Bell
from tests.support.waiting import eventually


async def test_rings_before_the_answer_are_one() -> None:
    """However often it is rung, the loop is called once."""
    answers: list[int] = []
    bell = Bell(asyncio.get_running_loop(), lambda: answers.append(1))

    for _ in range(100):
        bell.ring()
    await eventually(lambda: bool(answers))
    await asyncio.sleep(0)

    assert answers == [1]
    bell.ring()
    await eventually(lambda: len(answers) == 2)


async def test_nothing_put_down_before_a_ring_is_overlooked() -> None:
    """Threads that put things down and ring at once leave nothing behind."""
    put: deque[int] = deque()
    found: list[int] = []

    def take() -> None:
        while put:
            found.append(put.popleft())

    bell = Bell(asyncio.get_running_loop(), take)

    def work(share: range) -> None:
        for number in share:
            put.append(number)
            bell.ring()

    threads = [threading.Thread(target=work, args=(range(start, 20_000, 4),)) for start in range(4)]
    for thread in threads:
        thread.start()
    await eventually(lambda: len(found) == 20_000)

    assert sorted(found) == list(range(20_000))


def test_a_loop_that_has_closed_is_told_nothing() -> None:
    """A handler may end after its process's loop has: its thread ends in peace."""
    loop = asyncio.new_event_loop()
    loop.close()
    answers: list[int] = []

    Bell(loop, lambda: answers.append(1)).ring()

    assert answers == []
