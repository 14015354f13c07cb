"""breaker.py, with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack, suppress
from heapq import heappop, heappush
from itertools import count

import pytest

from consumers.webhooks.breaker import LONGEST_OPEN_S, MOST_HOSTS, Breakers, Place


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(40, clock)


def _try(breakers: Breakers, host: str = "a", *, answered: bool) -> float | None:
    with breakers.place(host) as place:
        if place.wait_s is None and answered:
            place.answered()
        return place.wait_s


def _fail(breakers: Breakers, times: int = 5, host: str = "a") -> None:
    for _ in range(times):
        assert _try(breakers, host, answered=False) is None


def _hold(breakers: Breakers, stack: ExitStack, host: str) -> Place:
    return stack.enter_context(breakers.place(host))


def test_five_failures_in_a_row_open_the_circuit_for_a_second(breakers: Breakers, clock: Clock) -> None:
    """Others of the host wait for it, a little longer than that; other hosts know nothing of it."""
    _fail(breakers)

    wait_s = _try(breakers, answered=True)

    assert wait_s is not None
    assert 1.0 <= wait_s <= 1.5
    assert _try(breakers, "b", answered=True) is None
    clock.now_s += 1.0
    assert _try(breakers, answered=True) is None
    assert _try(breakers, answered=True) is None


def test_an_answer_in_between_starts_the_count_anew(breakers: Breakers) -> None:
    """Only failures in a row count."""
    for _ in range(3):
        _fail(breakers, 4)
        assert _try(breakers, answered=True) is None


def test_one_request_tries_it_and_failure_doubles_the_time_up_to_a_bound(breakers: Breakers, clock: Clock) -> None:
    """While it is under way the others wait."""
    _fail(breakers)
    for open_s in (2.0, 4.0, 8.0, 16.0, LONGEST_OPEN_S, LONGEST_OPEN_S):
        clock.now_s += 40
        with breakers.place("a") as probe:
            assert probe.wait_s is None
            assert _try(breakers, answered=True) is not None
        wait_s = _try(breakers, answered=True)
        assert wait_s is not None
        assert open_s <= wait_s <= open_s * 1.5


def test_a_request_that_ends_without_a_word_counts_as_failed(breakers: Breakers, clock: Clock) -> None:
    """A probe that is cancelled locks nobody out."""
    _fail(breakers)
    clock.now_s += 1.0
    with suppress(ZeroDivisionError), breakers.place("a") as probe:
        assert probe.wait_s is None
        raise ZeroDivisionError

    assert _try(breakers, answered=True) is not None
    clock.now_s += 2.0
    assert _try(breakers, answered=True) is None


async def test_a_cancelled_probe_locks_nobody_out(breakers: Breakers, clock: Clock) -> None:
    """Its place is given back; the next one tries the host when the time is over."""
    _fail(breakers)
    clock.now_s += 1.0
    began = asyncio.Event()

    async def probe() -> None:
        with breakers.place("a") as place:
            assert place.wait_s is None
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(probe())
    await began.wait()
    assert breakers.state_of("a") == "tried"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert breakers.state_of("a") == "open"
    clock.now_s += 2.0
    assert _try(breakers, answered=True) is None


def test_a_late_answer_closes_the_circuit_and_the_probes_failure_does_not_open_it_again(breakers: Breakers, clock: Clock) -> None:
    """One that was under way since before: the host has answered, so a single failure is one in a row."""
    with ExitStack() as stack:
        late = _hold(breakers, stack, "a")
        _fail(breakers)
        clock.now_s += 1.0
        with breakers.place("a") as probe:
            assert probe.wait_s is None
            late.answered()
            stack.close()
            assert breakers.state_of("a") == "healthy"

    assert breakers.state_of("a") == "failing"
    assert _try(breakers, answered=True) is None


def test_the_state_of_a_host_is_told_and_asking_remembers_nothing(breakers: Breakers, clock: Clock) -> None:
    """From never heard of to healthy again."""
    assert breakers.state_of("a") == "unknown"
    assert not breakers._hosts
    for answered, state in ((True, "healthy"), (False, "failing"), (False, "failing")):
        assert _try(breakers, answered=answered) is None
        assert breakers.state_of("a") == state
    _fail(breakers, 3)
    assert breakers.state_of("a") == "open"
    clock.now_s += 1.0
    with breakers.place("a") as probe:
        assert breakers.state_of("a") == "tried"
        probe.answered()
    assert breakers.state_of("a") == "healthy"


def test_a_host_holds_its_share_of_the_places_and_no_more(breakers: Breakers) -> None:
    """A quarter before it has ever answered, all once it has, a twentieth after a failure."""
    for before, share in ((None, 10), (True, 40), (False, 2)):
        if before is not None:
            assert _try(breakers, answered=before) is None
        with ExitStack() as stack:
            held = [_hold(breakers, stack, "a") for _ in range(share)]
            assert [one.wait_s for one in held] == [None] * share
            over = _hold(breakers, stack, "a")
            assert over.wait_s is not None
            assert over.is_full
            assert 0.05 <= over.wait_s <= 0.25
            for one in held:
                one.answered()


def test_a_dead_host_among_a_hundred_leaves_the_others_their_places(breakers: Breakers, clock: Clock) -> None:
    """It takes every request and answers none: however many come, it holds its quarter, and later a single place."""
    with ExitStack() as stack:
        waits = [_hold(breakers, stack, "dead").wait_s for _ in range(500)]
        assert waits.count(None) == 10
        for number in range(99):
            assert _try(breakers, f"host-{number}", answered=True) is None
    for _ in range(3):
        clock.now_s += LONGEST_OPEN_S
        with ExitStack() as stack:
            assert [_hold(breakers, stack, "dead").wait_s for _ in range(500)].count(None) == 1


def test_hosts_are_forgotten_but_not_those_with_requests_under_way(breakers: Breakers) -> None:
    """Memory is bounded; a place that is given back late is still counted."""
    with ExitStack() as stack:
        _hold(breakers, stack, "held").answered()
        for number in range(2 * MOST_HOSTS):
            _try(breakers, f"host-{number}", answered=True)
        assert len(breakers._hosts) <= MOST_HOSTS + 1
        assert "held" in breakers._hosts
    assert breakers._hosts["held"].under_way == 0


class Simulation:
    """Hosts and messages on a clock of its own: one asks for a place when it is due, and again when it is told to."""

    def __init__(self, concurrency: int, clock: Clock) -> None:
        self._clock, self._breakers = clock, Breakers(concurrency, clock)
        self._concurrency, self._order = concurrency, count()
        self._events: list[tuple[float, int, str, float, ExitStack | None]] = []
        self.under_way, self.most = Counter[str](), Counter[str]()
        self.late_s: dict[str, list[float]] = {}
        self.dead_until_s = 0.0

    def send(self, host: str, due_s: float) -> None:
        heappush(self._events, (due_s, next(self._order), host, due_s, None))

    def run(self, until_s: float) -> None:
        while self._events and self._events[0][0] <= until_s:
            self._clock.now_s, _, host, due_s, place = heappop(self._events)
            if place is None:
                self._ask(host, due_s)
            else:
                self.under_way[host] -= 1
                place.close()
        self._clock.now_s = until_s

    def _ask(self, host: str, due_s: float) -> None:
        stack = ExitStack()
        place = stack.enter_context(self._breakers.place(host))
        if place.wait_s is not None:
            heappush(self._events, (self._clock.now_s + place.wait_s, next(self._order), host, due_s, None))
            return
        self.under_way[host] += 1
        self.most[host] = max(self.most[host], self.under_way[host])
        assert self.under_way.total() <= self._concurrency
        takes_s = 0.1
        if host == "dead" and self._clock.now_s < self.dead_until_s:
            takes_s = 10.0  # the time-out
        else:
            place.answered()
            self.late_s.setdefault(host, []).append(self._clock.now_s - due_s)
        heappush(self._events, (self._clock.now_s + takes_s, next(self._order), host, due_s, stack))


def test_one_host_among_a_hundred_that_takes_all_and_answers_nothing(clock: Clock) -> None:
    """A minute of it: it never holds more than its share, none of the others waits, and what waited flows once it is back."""
    simulation = Simulation(100, clock)
    simulation.dead_until_s = clock.now_s + 60
    for number in range(1200):
        due_s = clock.now_s + number * 0.05
        simulation.send("dead", due_s)
        for host in range(99) if number % 10 == 0 else ():
            simulation.send(f"host-{host}", due_s + host * 0.005)

    simulation.run(clock.now_s + 5)
    assert simulation.most["dead"] == 25
    simulation.run(clock.now_s + 20)
    simulation.most.clear()
    simulation.run(simulation.dead_until_s)
    assert simulation.most["dead"] == 1
    assert len(simulation.late_s) == 99
    simulation.run(simulation.dead_until_s + 100)

    delivered = {host: len(late) for host, late in simulation.late_s.items()}
    assert 1100 <= delivered.pop("dead") <= 1200
    assert set(delivered.values()) == {120}
    assert {late for host, all_late in simulation.late_s.items() if host != "dead" for late in all_late} == {0.0}
    assert simulation.under_way.total() == 0
