"""The queue between reader and pool: fair among topics, in order within one, each delivery taken once."""

from __future__ import annotations

import threading
from collections import Counter, deque

from consumers.delivery import Delivery
from consumers.intake import Intake
from tests.consumers.making import make_delivery
from tests.support.waiting import eventually


def _filled(*topics: str) -> tuple[Intake, list[Delivery]]:
    """An intake with one delivery for each name, put in that order."""
    intake, made = Intake(), [make_delivery(topic=topic) for topic in topics]
    for one in made:
        intake.put(one)
    return intake, made


def _taken(intake: Intake) -> list[Delivery]:
    return list(iter(intake.take_now, None))


def test_takes_go_round_the_topics() -> None:
    """A herd in one topic does not stand before the others; within a topic, first come is first served."""
    intake, made = _filled("a", "a", "a", "a", "b", "c", "c")

    taken = _taken(intake)

    assert [one.topic for one in taken] == ["a", "b", "c", "a", "c", "a", "a"]
    assert [one for one in taken if one.topic == "a"] == made[:4]
    assert intake.take_now() is None


def test_a_topic_that_comes_later_waits_for_one_take_of_each_other() -> None:
    """A topic that was empty joins the round at its end, before the second turn of the others."""
    intake, _ = _filled("a", "a", "b", "b")
    first = intake.take_now()
    intake.put(make_delivery(topic="c"))

    rest = _taken(intake)

    assert first is not None
    assert [first.topic, *(one.topic for one in rest)] == ["a", "b", "a", "c", "b"]


def test_what_is_put_first_goes_before_everything() -> None:
    """A claimed delivery is taken next, before its own topic's and before all other topics'."""
    intake, made = _filled("a", "a", "b")
    urgent = make_delivery(topic="b")

    intake.put(urgent, first=True)

    assert _taken(intake) == [urgent, made[0], made[2], made[1]]


def test_what_is_put_first_into_an_empty_topic_goes_before_everything() -> None:
    """The same for a topic that has nothing waiting."""
    intake, made = _filled("a", "b")
    urgent = make_delivery(topic="c")

    intake.put(urgent, first=True)

    assert _taken(intake) == [urgent, *made]


def test_what_is_removed_is_never_taken() -> None:
    """Removal gives exactly what is unwanted, once; the rest keeps its order."""
    intake, made = _filled("a", "b", "a", "b", "c")
    unwanted = {id(made[0]), id(made[3]), id(made[4])}

    removed = intake.remove(lambda one: id(one) in unwanted)

    assert {id(one) for one in removed} == unwanted
    assert intake.remove(lambda one: id(one) in unwanted) == []
    assert _taken(intake) == [made[2], made[1]]


def test_nobody_takes_from_a_closed_intake() -> None:
    """After closing, what is left can be removed and not taken."""
    intake, made = _filled("a", "b")

    intake.close()

    assert intake.take() is None
    assert intake.take_now() is None
    assert intake.remove(lambda _: True) == made


def test_closing_ends_those_who_wait() -> None:
    """Threads that wait for a delivery go home when the intake closes."""
    intake = Intake()
    answers: list[Delivery | None] = []
    threads = [threading.Thread(target=lambda: answers.append(intake.take())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert answers == []

    intake.close()

    for thread in threads:
        thread.join(5)
    assert answers == [None] * 4


class _Takers:
    """Threads that take, and hold what they took until they are told to go on."""

    def __init__(self, intake: Intake, count: int) -> None:
        self.taken: list[Delivery] = []
        self._go_on = threading.Semaphore(0)
        self._intake = intake
        for _ in range(count):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        done = None
        while (done := self._intake.take(done)) is not None:
            self.taken.append(done)
            self._go_on.acquire()

    def go_on(self) -> None:
        self._go_on.release()


async def test_who_is_at_work_on_something_quick_comes_for_the_next() -> None:
    """For a quick topic one thread is woken, and takes what comes meanwhile; for any other each delivery wakes one."""
    intake = Intake(lambda topic: topic == "quick")
    takers = _Takers(intake, 3)
    await eventually(lambda: intake._idle == 3)
    quick, slow = [make_delivery(topic="quick") for _ in range(3)], make_delivery(topic="slow")

    intake.put(quick[0])
    await eventually(lambda: takers.taken == quick[:1])
    intake.put(quick[1])
    intake.put(quick[2])
    assert (intake._idle, intake._woken) == (2, 0)
    intake.put(slow)
    await eventually(lambda: len(takers.taken) == 2)
    assert (intake._idle, intake._woken) == (1, 0)

    for _ in range(4):
        takers.go_on()
    await eventually(lambda: len(takers.taken) == 4)
    intake.close()


async def test_what_waits_behind_something_thought_quick_is_not_held_up() -> None:
    """Where nothing was taken since the last look, more threads are woken, as many as are needed."""
    intake = Intake(lambda _: True)
    takers = _Takers(intake, 4)
    await eventually(lambda: intake._idle == 4)
    made = [make_delivery() for _ in range(3)]
    intake.put(made[0])
    await eventually(lambda: takers.taken == made[:1])
    intake.put(made[1])
    intake.put(made[2])

    assert intake.hurry()
    assert intake._idle == 3
    intake.hurry()

    await eventually(lambda: len(takers.taken) == 3)
    assert not intake.hurry()
    for _ in range(3):
        takers.go_on()
    intake.close()


async def test_a_slow_delivery_taken_by_the_only_one_awake_wakes_another() -> None:
    """What waits behind it is not left to a thread that is busy for long."""
    intake = Intake(lambda topic: topic == "quick")
    takers = _Takers(intake, 2)
    await eventually(lambda: intake._idle == 2)
    with intake._changed:  # both are there before anybody can take
        slow, quick = make_delivery(topic="slow"), make_delivery(topic="quick")
        intake._queues["slow"], intake._queues["quick"] = deque([slow]), deque([quick])
        intake._wake()

    await eventually(lambda: len(takers.taken) == 2)
    assert takers.taken == [slow, quick]
    takers.go_on()
    takers.go_on()
    intake.close()


def test_concurrent_takers_and_removers_get_each_delivery_once() -> None:
    """Many threads that take, put and remove at once lose nothing and double nothing."""
    intake = Intake()
    made = [make_delivery(topic=f"topic-{number % 3}") for number in range(900)]
    got: list[Delivery] = []

    def take() -> None:
        while (one := intake.take()) is not None:
            got.append(one)

    def put(share: list[Delivery]) -> None:
        for position, one in enumerate(share):
            intake.put(one, first=position % 7 == 0)
            if position % 50 == 0:
                got.extend(intake.remove(lambda waiting: waiting.topic == "topic-1"))

    takers = [threading.Thread(target=take) for _ in range(4)]
    putters = [threading.Thread(target=put, args=(made[start::3],)) for start in range(3)]
    for thread in takers + putters:
        thread.start()
    for thread in putters:
        thread.join(10)
    got.extend(intake.remove(lambda _: True))
    intake.close()
    for thread in takers:
        thread.join(10)

    assert Counter(id(one) for one in got) == Counter(id(one) for one in made)
