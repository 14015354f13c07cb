"""Work in groups: what is asked for while a group is at work gathers, and goes together in the next one."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from shared.errors import Outage

Item = TypeVar("Item")
SILENCE = "timeout"
"""The kind of outage in which the next group would wait for as long as the one before."""


class NotBegun(Outage):
    """The group before was cut off, and nothing of this was sent."""


class _Asked(NamedTuple, Generic[Item]):
    item: Item
    size_bytes: int
    answer: asyncio.Future[Any]


class Groups(Generic[Item]):
    """One kind of work. ``work`` does a group of it and returns an answer for each, which may be an error to raise."""

    def __init__(
        self, work: Callable[[list[Item]], Awaitable[Sequence[Any]]], *, at_once: int, most: int, most_bytes: float = math.inf
    ) -> None:
        """``at_once``: how many groups are at work at the same time. ``most``, ``most_bytes``: of a group of more than one."""
        self._work, self._at_once, self._most, self._most_bytes = work, at_once, most, most_bytes
        self._asked = deque[_Asked[Item]]()
        self._tasks = set[asyncio.Task[None]]()
        """The event loop itself keeps no hold of them."""
        self._looking = 0
        """Tasks that look for more. One leaves in the very step in which it found nothing: a call after that starts another."""

    async def run(self, item: Item, size_bytes: int = 0) -> Any:
        """Its answer. A caller who goes away takes what has not begun along, and nothing else. Raises what the work raises."""
        answer = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(item, size_bytes, answer))
        if self._looking < self._at_once:
            self._looking += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _run(self) -> None:
        try:
            while group := self._next():
                await self._run_group(group)
        finally:
            self._looking -= 1

    async def _run_group(self, group: list[_Asked[Item]]) -> None:
        try:
            answers = await self._work([one.item for one in group])
        except Exception as error:  # noqa: BLE001 - each of the group is told, and tells its caller
            answers = [_own(error) for _ in group]
            if isinstance(error, Outage) and error.kind == SILENCE:
                self._tell_waiting(error)
        for one, answer in zip(group, answers, strict=True):
            _tell(one.answer, answer)

    def _tell_waiting(self, error: Outage) -> None:
        """Else the last of many groups would be told after as many time-outs."""
        while self._asked:
            _tell(self._asked.popleft().answer, NotBegun(error.kind, error.detail))

    def _next(self) -> list[_Asked[Item]]:
        """The group that goes next, without those whose callers are gone."""
        group, size_bytes = list[_Asked[Item]](), 0
        while self._asked and len(group) < self._most:
            one = self._asked[0]
            if group and size_bytes + one.size_bytes > self._most_bytes:
                break
            self._asked.popleft()
            if not one.answer.done():
                group.append(one)
                size_bytes += one.size_bytes
        return group


def _own(error: Exception) -> Exception:
    """An error of its own for each: an exception that is raised twice collects two tracebacks."""
    return Outage(error.kind, error.detail) if isinstance(error, Outage) else error


def _tell(answer: asyncio.Future[Any], found: Any) -> None:
    if answer.done():  # its caller is gone
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
