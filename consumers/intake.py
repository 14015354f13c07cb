"""Deliveries that wait for a slot: fair among topics, first in first out within one. Safe between threads.

It also decides when another thread is woken. Waking one, and passing the interpreter's lock to and fro, takes some 50
microseconds: for a handler that takes less, whoever is already at work comes for the next one sooner.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from consumers.delivery import Delivery


def _never(_: str) -> bool:
    return False


class Intake:
    """Takes go round the topics, so that a herd in one never stands before the others."""

    def __init__(self, is_quick: Callable[[str], bool] = _never) -> None:
        """``is_quick``: whether handlers of a topic take less time than waking a thread."""
        self._is_quick = is_quick
        self._queues: OrderedDict[str, deque[Delivery]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._idle = 0
        """Threads that wait, those woken and not yet here included."""
        self._woken = 0
        """Threads that were woken and are not yet here."""
        self._quick: set[Delivery] = set()
        """What those who took it will soon be done with."""
        self._takes = 0
        self._takes_seen = -1

    def put(self, delivery: Delivery, *, first: bool = False) -> None:
        """Adds a delivery; ``first``: before all others of its topic, and its topic before all others."""
        with self._changed:
            queue = self._queues.get(delivery.topic)
            if queue is None:
                queue = self._queues[delivery.topic] = deque()
            if first:
                queue.appendleft(delivery)
                self._queues.move_to_end(delivery.topic, last=False)
            else:
                queue.append(delivery)
            if not (self._woken or self._quick) or not self._is_quick(delivery.topic):
                self._wake()

    def take(self, done: Delivery | None = None) -> Delivery | None:
        """Waits for the next delivery; ``None`` when closed. ``done``: what the caller took before, and is done with."""
        with self._changed:
            if done is not None:
                self._quick.discard(done)
            while not self._queues and not self._closed:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
                self._woken = max(0, self._woken - 1)
            delivery = self._next()
            if delivery is not None and self._is_quick(delivery.topic):
                self._quick.add(delivery)
            elif self._queues and not (self._woken or self._quick):
                self._wake()
            return delivery

    def take_now(self) -> Delivery | None:
        with self._changed:
            return self._next()

    def hurry(self) -> bool:
        """Wakes more threads where none has taken anything since the last look; says whether anything waits.

        Called while something waits: whoever took what was thought quick may be held up by it.
        """
        with self._changed:
            if self._queues and self._takes == self._takes_seen:
                self._quick.clear()
                for _ in range(min(self._idle, sum(map(len, self._queues.values())))):
                    self._wake()
            self._takes_seen = self._takes
            return bool(self._queues)

    def _wake(self) -> None:
        if self._idle > self._woken:
            self._woken += 1
            self._changed.notify()

    def _next(self) -> Delivery | None:
        if self._closed or not self._queues:
            return None
        topic, queue = next(iter(self._queues.items()))
        delivery = queue.popleft()
        self._takes += 1
        if not queue:
            del self._queues[topic]
        elif len(self._queues) > 1:
            self._queues.move_to_end(topic)
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
