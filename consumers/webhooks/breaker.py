"""A circuit breaker for each host, and the share of places that it may hold: a dead host does not take those of others.

A host that answers, whatever the status, is healthy. Five failures in a row open its circuit: nothing is sent to it for a second,
then one request tries it; while that fails, the time doubles, up to half a minute. Of one process; used in one event loop.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal

OPENS_AFTER = 5
FIRST_OPEN_S, LONGEST_OPEN_S = 1.0, 30.0
FULL_S = 0.1
"""How long to wait, about, where a host has as many requests under way as it may."""
MOST_HOSTS = 10_000
State = Literal["unknown", "healthy", "failing", "open", "tried"]
"""``open``: nothing is sent to it; ``tried``: nothing but one request, which is under way."""


@dataclass(slots=True)
class Host:
    under_way: int = 0
    failures: int = 0
    """In a row."""
    has_answered: bool = False
    """Whether the last request was answered."""
    open_s: float = 0.0
    """How long its circuit was opened for the last time; 0 where it is closed."""
    opens_until_s: float = 0.0
    probes: bool = False
    """Whether the one request that tries it is under way."""


class Place:
    """One request's place. Without ``answered`` its end counts as a failure."""

    __slots__ = ("has_answer", "is_full", "wait_s")

    def __init__(self, wait_s: float | None, *, is_full: bool) -> None:
        self.wait_s = wait_s
        """How long to wait before asking again; ``None``: the request may go."""
        self.is_full = is_full
        """Whether it waits for others to the same host, and not for the host to answer."""
        self.has_answer = False

    def answered(self) -> None:
        self.has_answer = True


class Breakers:
    def __init__(self, concurrency: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``concurrency``: requests under way to all hosts together."""
        self._clock = clock
        self._most = {"healthy": concurrency, "unknown": concurrency // 4, "failing": concurrency // 20}
        self._hosts: OrderedDict[str, Host] = OrderedDict()

    @contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """A place for one request, given back at the end, however it ends."""
        host = self._host(name)
        probes = host.open_s > 0
        wait_s = self._wait_s(host)
        place = Place(wait_s, is_full=wait_s is not None and not probes)
        if place.wait_s is not None:
            yield place
            return
        host.under_way += 1
        host.probes |= probes
        try:
            yield place
        finally:
            host.under_way -= 1
            self._ended(host, has_answer=place.has_answer, was_probe=probes)

    def state_of(self, name: str) -> State:
        """For logs: asking remembers no host."""
        host = self._hosts.get(name, Host())
        if host.open_s:
            return "tried" if host.probes else "open"
        return self._known(host)

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host()
            self._forget()
        self._hosts.move_to_end(name)
        return host

    def _forget(self) -> None:
        """Those that were asked for longest ago and have nothing under way; a failing one may be tried anew then."""
        for name in list(islice(self._hosts, max(0, len(self._hosts) - MOST_HOSTS))):
            if self._hosts[name].under_way:
                self._hosts.move_to_end(name)
            else:
                del self._hosts[name]

    def _wait_s(self, host: Host) -> float | None:
        left_s = host.opens_until_s - self._clock()
        if host.open_s and (host.probes or left_s > 0):
            return max(left_s, FULL_S) + random.uniform(0, host.open_s / 2)  # noqa: S311 - spreads those that wait
        if host.under_way >= max(1, self._most[self._known(host)]):
            return FULL_S * random.uniform(0.5, 2.5)  # noqa: S311 - the same
        return None

    @staticmethod
    def _known(host: Host) -> Literal["unknown", "healthy", "failing"]:
        if host.failures:
            return "failing"
        return "healthy" if host.has_answered else "unknown"

    def _ended(self, host: Host, *, has_answer: bool, was_probe: bool) -> None:
        host.has_answered = has_answer
        if was_probe:
            host.probes = False
        if has_answer:
            host.failures, host.open_s, host.opens_until_s = 0, 0.0, 0.0
            return
        host.failures += 1
        failed_again = was_probe and host.open_s > 0  # not where another's answer closed it meanwhile
        if failed_again or (host.failures >= OPENS_AFTER and not host.open_s):
            host.open_s = min(LONGEST_OPEN_S, host.open_s * 2 or FIRST_OPEN_S)
            host.opens_until_s = self._clock() + host.open_s
