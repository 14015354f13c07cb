"""The pools of a process, by topic, and how much room there is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from consumers.capacity import Capacity
from consumers.delivery import Delivery
from consumers.pool import AsyncPool, Ended, MayStart, Pool, ThreadPool
from consumers.registry import Handler
from shared.settings import ConsumersSettings


class Pools:
    """One pool for all ``def`` handlers, one for all ``async def`` ones, and one each for those that have slots of their own.

    Used in the process's own event loop.
    """

    def __init__(self, settings: ConsumersSettings, handlers: dict[str, Handler], ended: Ended, may_start: MayStart) -> None:
        self.by_topic: dict[str, Pool] = {}
        self.capacities: dict[str, Capacity] = {}
        threaded = Capacity(
            [topic for topic, one in handlers.items() if not one.asynchronous], settings.threads, settings.batch_size
        )
        coroutines = Capacity(
            [topic for topic, one in handlers.items() if one.asynchronous and one.slots is None],
            settings.async_limit,
            settings.batch_size,
        )
        if threaded.topics:
            self._add(threaded, ThreadPool(settings.threads, ended, may_start, threaded.is_quick))
        if coroutines.topics:
            self._add(coroutines, AsyncPool(settings.async_limit, ended, may_start))
        for topic, one in handlers.items():
            if one.slots is not None:
                own = Capacity([topic], one.slots, settings.batch_size)
                self._add(own, AsyncPool(one.slots, ended, may_start, one.close))

    def _add(self, capacity: Capacity, pool: Pool) -> None:
        self.by_topic |= dict.fromkeys(capacity.topics, pool)
        self.capacities |= dict.fromkeys(capacity.topics, capacity)

    def start(self) -> None:
        for pool in set(self.by_topic.values()):
            pool.start()

    def stop(self) -> None:
        """Starts nothing more."""
        for pool in set(self.by_topic.values()):
            pool.stop()

    def plan(self) -> dict[str, int]:
        """How many deliveries of each topic there is room for."""
        plan: dict[str, int] = {}
        for capacity in set(self.capacities.values()):
            plan |= capacity.plan()
        return plan

    def has_room_soon(self, plan: dict[str, int]) -> bool:
        """Whether a topic that the plan leaves out is at work on what its handlers end in a moment."""
        return any(topic not in plan and capacity.is_fast(topic) for topic, capacity in self.capacities.items())

    @contextmanager
    def reserved(self, counts: dict[str, int]) -> Iterator[None]:
        """While deliveries are on their way here, nobody else plans with their room."""
        for topic, count in counts.items():
            self.capacities[topic].reserved[topic] += count
        try:
            yield
        finally:
            for topic, count in counts.items():
                self.capacities[topic].reserved[topic] -= count

    def take(self, delivery: Delivery, *, first: bool) -> None:
        self.capacities[delivery.topic].taken(delivery.topic)
        self.put(delivery, first=first)

    def put(self, delivery: Delivery, *, first: bool) -> None:
        """Lets a delivery wait for a slot; ``take`` has noted it."""
        self.by_topic[delivery.topic].put(delivery, first=first)

    def remove(self, unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Takes out what waits for a slot and will not be started."""
        return [one for pool in set(self.by_topic.values()) for one in pool.intake.remove(unwanted)]

    def freed(self, delivery: Delivery, duration_s: float | None) -> None:
        self.capacities[delivery.topic].freed(delivery.topic, duration_s)

    @property
    def held(self) -> int:
        """Deliveries that wait for a slot or run."""
        return sum(capacity.held for capacity in set(self.capacities.values()))

    @property
    def abandoned(self) -> int:
        """Handlers left behind past their deadline."""
        return sum(pool.abandoned for pool in set(self.by_topic.values()))
