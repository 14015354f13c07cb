"""Rule 6 of the design: a worker asks only for what it can soon run, and shares that fairly."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from consumers.capacity import LOOK_AHEAD_S, Capacity

FAST_S = 0.001
SLOW_S = 1.0


def _measure(capacity: Capacity, topic: str, duration_s: float) -> None:
    capacity.taken(topic)
    capacity.freed(topic, duration_s)


def _take(capacity: Capacity, plan: dict[str, int]) -> None:
    for topic, count in plan.items():
        for _ in range(count):
            capacity.taken(topic)


class _State:
    """A random pool in the middle of its work."""

    def __init__(self, chance: random.Random) -> None:
        self.limit = chance.randint(1, 12)
        self.batch_size = chance.choice([1, 7, 100])
        self.topics = [f"topic-{number}" for number in range(chance.randint(1, 5))]
        self.capacity = Capacity(self.topics, self.limit, self.batch_size)
        self.durations_s = {
            topic: chance.choice([0.0001, 0.004, 0.03, 0.06, 2.0]) for topic in self.topics if chance.random() < 0.7
        }
        self.held = {topic: chance.randint(0, self.limit) if chance.random() < 0.5 else 0 for topic in self.topics}
        for topic, duration_s in self.durations_s.items():
            _measure(self.capacity, topic, duration_s)
        for topic, count in self.held.items():
            _take(self.capacity, {topic: count})

    @property
    def fast_s(self) -> dict[str, float]:
        return {topic: seconds for topic, seconds in self.durations_s.items() if seconds < LOOK_AHEAD_S}

    @property
    def look_ahead(self) -> int:
        """What the fastest handler finishes in time in the slots that slow ones leave, at most a batch."""
        slots = max(0, self.limit - sum(count for topic, count in self.held.items() if topic not in self.fast_s))
        return max((min(self.batch_size, int(LOOK_AHEAD_S / seconds) * slots) for seconds in self.fast_s.values()), default=0)


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_never_exceeds_free_slots_and_look_ahead(seed: int) -> None:
    """In any state, what is held and what a plan asks for together are no more than the slots and the look-ahead."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable choice of states, no secret
    for _ in range(500):
        state = _State(chance)
        held = sum(state.held.values())

        plan = state.capacity.plan()

        assert all(count > 0 for count in plan.values())
        assert sum(plan.values()) <= max(0, state.limit + state.look_ahead - held), vars(state)


@pytest.mark.parametrize("seed", range(4))
def test_topics_that_are_not_fast_get_slots_only(seed: int) -> None:
    """In any state, the slow and unmeasured deliveries held and planned fit into the slots of the pool."""
    chance = random.Random(seed)  # noqa: S311 - the same
    for _ in range(500):
        state = _State(chance)
        slow = [topic for topic in state.topics if topic not in state.fast_s]
        held = sum(state.held[topic] for topic in slow)

        plan = state.capacity.plan()

        assert sum(plan.get(topic, 0) for topic in slow) <= max(0, state.limit - held), vars(state)


def test_a_pool_that_nothing_is_known_about_gets_its_slots() -> None:
    """Before the first handler has ended, a topic alone gets every slot and nothing more; with all held, nothing."""
    capacity = Capacity(["only"], 10, 100)
    assert capacity.plan() == {"only": 10}

    _take(capacity, {"only": 10})

    assert capacity.plan() == {}
    assert (capacity.held, capacity.free) == (10, 0)


def test_a_fast_topic_gets_what_it_finishes_in_time() -> None:
    """Handlers of 10 ms in 4 slots finish 20 in 50 ms: those, and the slots, are asked for."""
    capacity = Capacity(["quick"], 4, 100)
    assert capacity.plan() == {"quick": 4}

    _measure(capacity, "quick", 0.0099)

    assert capacity.plan() == {"quick": 4 + 5 * 4}


def test_the_batch_size_caps_the_look_ahead() -> None:
    """However fast a handler is, no more than BatchSize is asked for beyond the slots."""
    capacity = Capacity(["instant"], 10, 100)

    _measure(capacity, "instant", 1e-9)

    assert capacity.plan() == {"instant": 110}


def test_a_topic_that_becomes_slow_loses_its_look_ahead() -> None:
    """The average follows the newest times: after some slow handlers only the slots are asked for."""
    capacity = Capacity(["changing"], 4, 100)
    _measure(capacity, "changing", FAST_S)
    assert capacity.plan() == {"changing": 104}

    _measure(capacity, "changing", SLOW_S)

    assert capacity.plan() == {"changing": 4}


def test_a_delivery_that_was_not_run_is_not_measured() -> None:
    """What was dropped before its start frees its slot and says nothing about its handler's time."""
    capacity = Capacity(["only"], 4, 100)
    capacity.taken("only")
    assert capacity.held == 1

    capacity.freed("only", None)

    assert capacity.held == 0
    assert capacity.plan() == {"only": 4}


def test_a_herd_of_slow_messages_leaves_a_slot_to_the_others() -> None:
    """However often a slow topic is read, alone, one slot of the pool stays free for the topics beside it."""
    capacity = Capacity(["slow", "other"], 10, 100)
    _measure(capacity, "slow", SLOW_S)
    for _ in range(20):
        _take(capacity, {"slow": capacity.plan().get("slow", 0)})
    assert capacity.held == 9

    plan = capacity.plan()

    assert plan == {"other": 1}


def test_a_herd_of_fast_messages_leaves_room_to_the_others() -> None:
    """Where a fast topic refills whatever becomes free, another one still gets its turn, slow as it may be."""
    capacity = Capacity(["fast", "slow"], 4, 100)
    _measure(capacity, "fast", FAST_S)
    while fast := capacity.plan().get("fast", 0):
        _take(capacity, {"fast": fast})

    granted = Counter[str]()
    for _ in range(20):
        capacity.freed("fast", FAST_S)
        plan = capacity.plan()
        granted.update(plan)
        _take(capacity, plan)

    assert granted["slow"] == 3  # every slot but the one that is kept for the others
    assert granted["fast"] > 0


def test_the_only_slot_goes_round_the_topics() -> None:
    """Where room is for one, each topic is the one that is asked for, in turn."""
    topics = ["a", "b", "c"]
    capacity = Capacity(topics, 1, 100)

    plans = [capacity.plan() for _ in range(9)]

    assert all(sum(plan.values()) == 1 for plan in plans)
    assert Counter(topic for plan in plans for topic in plan) == {"a": 3, "b": 3, "c": 3}


def test_topics_share_the_slots_evenly() -> None:
    """Topics of one kind get shares that differ by one at most, and together all the slots."""
    capacity = Capacity(["a", "b", "c"], 10, 100)

    plan = capacity.plan()

    assert sorted(plan.values()) == [3, 3, 4]


def test_slow_topics_share_the_slots_evenly_beside_a_fast_one() -> None:
    """The look-ahead of a fast topic does not let the first of two slow ones take all the slots."""
    capacity = Capacity(["fast", "slow", "unknown"], 10, 100)
    _measure(capacity, "fast", FAST_S)
    _measure(capacity, "slow", SLOW_S)

    for _ in range(3):  # whoever's turn it is to be first
        plan = capacity.plan()
        assert sorted((plan["slow"], plan["unknown"])) == [4, 5]
        assert plan["fast"] >= 1
