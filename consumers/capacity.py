"""How much a worker may ask for: its free slots, plus what its handlers finish in about 50 ms by their measured times.

A topic whose handlers are slow, or not measured yet, gets slots only. Where several topics share a pool, none may take the
last slot, so that a herd of slow messages leaves one to the others.
"""

from __future__ import annotations

LOOK_AHEAD_S = 0.05
WEIGHT = 0.2
"""How much the newest handler time counts in the average."""
QUICK_S = 50e-6
"""Waking a thread takes about so long."""


class Capacity:
    """The slots of one pool and how its topics share them."""

    def __init__(self, topics: list[str], limit: int, batch_size: int) -> None:
        self.topics = topics
        self._limit = limit
        self._batch_size = batch_size
        self._held = dict.fromkeys(topics, 0)
        self._average_s: dict[str, float] = {}
        self._typical_s: dict[str, float] = {}
        """About the median, which a handler that lost its core in the middle does not move."""
        self._turn = 0
        self.reserved = dict.fromkeys(topics, 0)
        """Room for deliveries that are on their way here."""

    @property
    def held(self) -> int:
        """Deliveries that wait for a slot or run, or are on their way here."""
        return sum(self._held.values()) + sum(self.reserved.values())

    @property
    def free(self) -> int:
        """Slots that nothing runs in or waits for."""
        return max(0, self._limit - self.held)

    @property
    def excess(self) -> int:
        """How many deliveries must leave the pool before a slot is free."""
        return max(0, sum(self._held.values()) - self._limit + 1)

    def taken(self, topic: str) -> None:
        self._held[topic] += 1

    def freed(self, topic: str, duration_s: float | None) -> None:
        """A delivery left the pool; ``duration_s``: how long its handler ran, ``None`` where it did not."""
        self._held[topic] -= 1
        if duration_s is not None:
            known = self._average_s.get(topic, duration_s)
            self._average_s[topic] = known + WEIGHT * (duration_s - known)
            typical = self._typical_s.get(topic, duration_s)
            self._typical_s[topic] = typical * (1 + WEIGHT if duration_s > typical else 1 - WEIGHT)

    def is_quick(self, topic: str) -> bool:
        """Whether its handlers mostly end before another thread could be woken. From any thread."""
        return self._typical_s.get(topic, QUICK_S) < QUICK_S

    def plan(self) -> dict[str, int]:
        """How many deliveries of each topic to ask for now; topics that get none are left out.

        With what is held, the sum never exceeds the slots plus the look-ahead. Topics share it evenly, and take turns at
        what does not divide.
        """
        topics = self._in_turn()
        slow_left = sum(1 for topic in topics if not self.is_fast(topic))
        slots = self._limit - sum(self._taken(topic) for topic in topics if not self.is_fast(topic))
        fast = self.held - (self._limit - slots)
        room = slots - fast + max((self._ahead(topic, slots) for topic in topics), default=0)
        # A slot for those that are fast: slow topics that have nothing to do would plan it away from them, turn by turn.
        kept = self._left_to_others() if slow_left < len(topics) else 0
        plan: dict[str, int] = {}
        for left, topic in zip(range(len(topics), 0, -1), topics, strict=True):
            share = _ceil(room, left)
            if self.is_fast(topic):
                count = max(0, min(share, slots + self._ahead(topic, slots) - fast))
                fast += count
            else:
                own = self._limit - self._left_to_others() - self._taken(topic)
                count = max(0, min(share, _ceil(slots - kept, slow_left), own))
                slots -= count
                slow_left -= 1
            room -= count
            if count:
                plan[topic] = count
        return plan

    def _taken(self, topic: str) -> int:
        return self._held[topic] + self.reserved[topic]

    def _in_turn(self) -> list[str]:
        topics = list(self._held)
        self._turn = (self._turn + 1) % len(topics)
        return topics[self._turn :] + topics[: self._turn]

    def is_fast(self, topic: str) -> bool:
        """Whether its handlers were measured, and end within the look-ahead."""
        return self._average_s.get(topic, LOOK_AHEAD_S) < LOOK_AHEAD_S

    def _ahead(self, topic: str, slots: int) -> int:
        """What its handlers finish in time in so many slots; nothing for a topic that is not fast."""
        if not self.is_fast(topic):
            return 0
        return min(self._batch_size, int(LOOK_AHEAD_S / max(self._average_s[topic], 1e-6)) * max(slots, 0))

    def _left_to_others(self) -> int:
        return 1 if len(self._held) > 1 and self._limit > 1 else 0


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
