"""How much a worker may ask for: its free slots, plus what its handlers finish in about 50 ms by their measured times.

A topic whose handlers are slow, or not measured yet, gets slots only. Where several topics share a pool, none may take the
last slot, so that a herd of slow messages leaves one to the others.
"""

from __future__ import annotations

LOOK_AHEAD_S = 0.05
WEIGHT = 0.2
"""How much the newest handler time counts in the average."""


class Capacity:
    """The slots of one pool and how its topics share them."""

    def __init__(self, topics: list[str], limit: int, batch_size: int) -> None:
        self._limit = limit
        self._batch_size = batch_size
        self._held = dict.fromkeys(topics, 0)
        self._average_s: dict[str, float] = {}
        self._turn = 0

    @property
    def held(self) -> int:
        """Deliveries that wait for a slot or run."""
        return sum(self._held.values())

    @property
    def free(self) -> int:
        """Slots that nothing runs in or waits for."""
        return max(0, self._limit - self.held)

    def taken(self, topic: str) -> None:
        self._held[topic] += 1

    def freed(self, topic: str, duration_s: float | None) -> None:
        """A delivery left the pool; ``duration_s``: how long its handler ran, ``None`` where it did not."""
        self._held[topic] -= 1
        if duration_s is not None:
            known = self._average_s.get(topic, duration_s)
            self._average_s[topic] = known + WEIGHT * (duration_s - known)

    def plan(self) -> dict[str, int]:
        """How many deliveries of each topic to ask for now; topics that get none are left out.

        The sum never exceeds the free slots plus the look-ahead.
        """
        topics = list(self._held)
        self._turn = (self._turn + 1) % len(topics)
        topics = topics[self._turn :] + topics[: self._turn]
        total = self._limit + self._batch_size - self.held
        held_by_slow = sum(held for name, held in self._held.items() if not self._is_fast(name))
        planned_slow = planned_fast = 0
        plan: dict[str, int] = {}
        for position, topic in enumerate(topics):
            share = -(-(total - planned_slow - planned_fast) // (len(topics) - position))
            slots = self._limit - held_by_slow - planned_slow
            if self._is_fast(topic):
                held_by_fast = self.held - held_by_slow + planned_fast
                count = min(share, slots + self._ahead(topic, slots) - held_by_fast)
                planned_fast += max(0, count)
            else:
                count = min(share, slots, self._limit - self._reserved() - self._held[topic])
                planned_slow += max(0, count)
            if count > 0:
                plan[topic] = count
        return plan

    def _is_fast(self, topic: str) -> bool:
        return self._average_s.get(topic, LOOK_AHEAD_S) < LOOK_AHEAD_S

    def _ahead(self, topic: str, slots: int) -> int:
        return min(self._batch_size, int(LOOK_AHEAD_S / max(self._average_s[topic], 1e-6)) * max(slots, 0))

    def _reserved(self) -> int:
        return 1 if len(self._held) > 1 and self._limit > 1 else 0
