"""Deliveries that wait for a slot: fair among topics, first in first out within one. Safe between threads."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from consumers.delivery import Delivery


class Intake:
    """Takes go round the topics, so that a herd in one never stands before the others."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Delivery]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, delivery: Delivery, *, first: bool = False) -> None:
        """Adds a delivery; ``first``: before all others of its topic, and its topic before all others."""
        with self._changed:
            queue = self._queues.setdefault(delivery.topic, deque())
            if first:
                queue.appendleft(delivery)
                self._queues.move_to_end(delivery.topic, last=False)
            else:
                queue.append(delivery)
            self._changed.notify()

    def take(self) -> Delivery | None:
        """Waits for the next delivery; ``None`` when closed."""
        with self._changed:
            while not self._queues and not self._closed:
                self._changed.wait()
            return self._next()

    def take_now(self) -> Delivery | None:
        with self._changed:
            return self._next()

    def _next(self) -> Delivery | None:
        if self._closed or not self._queues:
            return None
        topic, queue = next(iter(self._queues.items()))
        delivery = queue.popleft()
        if queue:
            self._queues.move_to_end(topic)
        else:
            del self._queues[topic]
        return delivery

    def remove(self, unwanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Takes out what will not be started: nobody else will get these."""
        with self._changed:
            removed = [one for queue in self._queues.values() for one in queue if unwanted(one)]
            for one in removed:
                self._queues[one.topic].remove(one)
            for topic in [topic for topic, queue in self._queues.items() if not queue]:
                del self._queues[topic]
            return removed

    def close(self) -> None:
        """Lets nobody take any more; what is left can be removed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
