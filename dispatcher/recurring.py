"""Makes the messages of recurring schedules whose time has come. Any number of dispatchers may: each occurrence is made once."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from shared.errors import Outage
from shared.logs import logger
from shared.store import firing
from shared.store.keys import lane_of
from shared.store.partition import Partition
from shared.store.schedules import Schedule
from shared.waiting import OutageWatch

MOST_AT_ONCE = 20
"""Schedules in one turn: more would hold up the topics, which get their turns in between."""
AGAIN_S = 60.0
"""How soon to look again at one that cannot be read here: a newer dispatcher may, or somebody puts it right."""
FULL_WAIT_S = 1.0
"""How soon to try again when Redis takes no new messages."""


class Look(NamedTuple):
    """What one look at a partition's schedules did."""

    lanes: frozenset[str]
    """Those that got messages."""
    next_ms: int | None
    """When the next schedule is due, which may be now; ``None`` where none is."""
    wait_s: float
    """How long to wait in any case."""


class Recurring:
    """The schedules of some partitions."""

    def __init__(self) -> None:
        self.made = 0
        """Messages made since the start."""
        self._ignored: dict[tuple[int, str], float] = {}
        """Schedules that cannot be read here, and until when (monotonic) they are left alone."""
        self._full = OutageWatch("recurring schedules")

    async def look(self, partition: Partition) -> Look:
        """One bounded batch of what is due. Raises ``Outage``; that Redis is full is none, since all else has to go on."""
        due = await firing.due_schedules(partition, MOST_AT_ONCE, self._left_alone(partition.number))
        for schedule_id, reason in due.unreadable.items():
            self._leave_alone(partition.number, schedule_id, reason)
        results = await asyncio.gather(*(self._fire(partition, one) for one in due.schedules), return_exceptions=True)
        for result in results:  # raised only when none is at work any more
            if isinstance(result, BaseException) and not _is_full(result):
                raise result
        full = next((result for result in results if isinstance(result, Outage)), None)
        if full is not None:
            self._full.failed(full)
        elif due.schedules:
            self._full.worked()
        lanes = frozenset(lane for lane in results if isinstance(lane, str) and lane)
        again = bool(due.schedules or due.unreadable)  # what was fired may be due again already
        return Look(lanes, partition.clock.now_ms() if again else due.next_ms, FULL_WAIT_S if full else 0.0)

    def _leave_alone(self, number: int, schedule_id: str, reason: str) -> None:
        logger.error("schedule {} cannot be read, and makes nothing: {}", schedule_id, reason)
        self._ignored[number, schedule_id] = time.monotonic() + AGAIN_S

    def _left_alone(self, number: int) -> list[str]:
        now_s = time.monotonic()
        self._ignored = {place: until_s for place, until_s in self._ignored.items() if until_s > now_s}
        return [schedule_id for partition, schedule_id in self._ignored if partition == number]

    async def _fire(self, partition: Partition, schedule: Schedule) -> str:
        """The lane that got messages; empty where none did."""
        try:
            fired = await firing.fire(partition, schedule)
        except firing.Unreadable as error:
            self._leave_alone(partition.number, schedule.id, str(error))
            return ""
        if fired.verdict == "skipped":
            logger.info("schedule {}: left out, since its last message {} is not over", schedule.id, schedule.last_id)
        if fired.missed and fired.verdict != "stale":
            logger.warning("schedule {}: {} occurrences were missed and are not made up", schedule.id, fired.missed)
        self.made += fired.made
        options = schedule.template.options
        return lane_of(schedule.definition.topic, options.priority, options.flow_key) if fired.made else ""


def _is_full(error: BaseException) -> bool:
    return isinstance(error, Outage) and error.kind == "oom"
