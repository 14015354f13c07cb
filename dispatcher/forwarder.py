"""Moves due messages, partition by partition and lane by lane, and makes those of recurring schedules before.

Asks Redis only where something is due as far as is known.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import NamedTuple

from dispatcher.agenda import NEVER, NOW, Agenda, Place
from dispatcher.recurring import Recurring
from shared.logs import logger
from shared.settings import DispatcherSettings, TopicSettings
from shared.store import due, flow
from shared.store import topics as paused_topics
from shared.store.keys import SCHEDULES, USUAL, lanes, parse_lane
from shared.store.levels import WEIGHTS
from shared.store.partition import Partition

FULL_STREAM_WAIT_MS = 20
"""How soon to look again at a topic whose stream is full: workers are draining it."""

AHEAD_S = 0.00025
"""So long before its time a pass begins, which is what waking up takes; what is left of it is spent awake, not asleep."""

MOST_ROUNDS = 10
"""Of a pass: with a backlog it ends all the same and the next follows at once, so that other partitions get their turn."""


class Pass(NamedTuple):
    """What one pass did."""

    moved: int
    next_s: float | None
    """Monotonic time of the next pass, just before the next message is due; ``None`` where none waits."""


class Forwarder:
    """Each lane that is due gets one bounded batch in its turn, so a herd in one holds nobody up."""

    def __init__(self, partitions: list[Partition], topics: Mapping[str, TopicSettings], settings: DispatcherSettings) -> None:
        self._partitions = partitions
        self._topics, self._settings = topics, settings
        every = [SCHEDULES, *(lane for topic in topics for lane in lanes(topic))]
        self.agenda = Agenda((partition.number, lane) for partition in partitions for lane in every)
        self.recurring = Recurring()
        self._paused: dict[int, frozenset[str]] = {}
        """Topics of each partition that are left alone."""
        self.moved = 0
        """Messages moved since the start."""

    async def run_once(self) -> Pass:
        """Moves what is due as far as is known; of a large backlog a part. Raises ``Outage``."""
        before = self.moved
        results = await asyncio.gather(*(self._drain(partition) for partition in self._partitions), return_exceptions=True)
        for result in results:  # raised only when no partition is at work any more
            if isinstance(result, BaseException):
                raise result
        moved, next_s = self.moved - before, self.agenda.next_s
        if moved:
            logger.debug("dispatched {} messages", moved)
        return Pass(moved, None if next_s is None else next_s - AHEAD_S)

    async def look_for_pauses(self) -> None:
        """What is paused is not looked at again before the next look for pauses. Raises ``Outage``."""
        for partition in self._partitions:
            self._paused[partition.number] = await paused_topics.paused(partition)
        self.agenda.all_now()

    async def _drain(self, partition: Partition) -> None:
        for _ in range(MOST_ROUNDS):
            due = self.agenda.due(partition.number, time.monotonic() + AHEAD_S)
            if not due:
                return
            for place, at_s in self._by_lot(due):
                if parse_lane(place[1])[0] in self._paused.get(partition.number, ()):
                    self.agenda.take(place)
                    continue
                asked_s = _await(at_s)
                if place[1] == SCHEDULES:
                    await self._recur(partition, place)
                else:
                    await self._move(partition, place, asked_s)

    def _by_lot(self, due: list[tuple[Place, float]]) -> list[tuple[Place, float]]:
        """Lanes that share the limit of their topic come in an order drawn by their weights (Efraimidis and Spirakis, 2006): the
        first may take every place there is. The others stay in theirs.
        """
        lots = iter(sorted((one for one in due if self._shares_limit(one[0])), key=_lot))
        return [next(lots) if self._shares_limit(one[0]) else one for one in due]

    def _shares_limit(self, place: Place) -> bool:
        topic = self._topics.get(parse_lane(place[1])[0])
        return topic is not None and topic.limit.any

    async def _recur(self, partition: Partition, place: Place) -> None:
        """Makes the messages of recurring schedules whose time has come; notes when to look again at these and their topics."""
        self.agenda.take(place)
        again_s = NOW  # where it fails
        try:
            look = await self.recurring.look(partition)
            for lane in look.lanes:
                self.agenda.sooner((partition.number, lane), NOW)
            again_s = NEVER if look.next_ms is None else partition.clock.monotonic_s(look.next_ms)
            if look.wait_s:
                again_s = max(again_s, time.monotonic() + look.wait_s)
        finally:
            self.agenda.sooner(place, again_s)

    async def _move(self, partition: Partition, place: Place, asked_s: float) -> None:
        """Moves one batch, and notes when to look at the lane again."""
        self.agenda.take(place)
        again_s = NOW  # where it fails
        try:
            batch = await self._forward(partition, place[1])
            self.moved += batch.moved
            again_s = _next_look_s(partition, batch, asked_s)
        finally:
            self.agenda.sooner(place, again_s)

    async def _forward(self, partition: Partition, lane: str) -> due.Dispatched:
        topic, most, longest = self._topics[parse_lane(lane)[0]], self._settings.batch_size, self._settings.max_stream_length
        if flow.is_limited(topic, lane):
            return await flow.admit(partition, topic, lane, most, longest)
        return await due.dispatch(partition, lane, most, longest)


def _lot(due: tuple[Place, float]) -> float:
    """The higher a lane's weight, the sooner it comes, on average."""
    weight = WEIGHTS.get(parse_lane(due[0][1])[1], WEIGHTS[USUAL])
    return random.expovariate(weight)


def _await(at_s: float) -> float:
    """Stays awake until then, which is at most ``AHEAD_S``. Returns the monotonic time."""
    while (now_s := time.monotonic()) < at_s:
        pass
    return now_s


def _next_look_s(partition: Partition, batch: due.Dispatched, asked_s: float) -> float:
    answered_s = time.monotonic()
    if batch.next_due_ms is None:
        return NEVER
    if batch.next_due_ms <= batch.now_ms:
        return answered_s + FULL_STREAM_WAIT_MS / 1000 if batch.stream_full else NOW
    # By the clock that was read last, but within what this very answer allows: the server's clock may have been stepped.
    wait_s = (batch.next_due_ms - batch.now_ms) / 1000
    at_s = partition.clock.monotonic_s(batch.next_due_ms)
    return min(max(at_s, asked_s + wait_s - 0.001), answered_s + wait_s)
