"""What is known of when to look where."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.agenda import Agenda, Place

PLACES = [(0, "a"), (0, "b"), (1, "a")]


def test_at_first_everything_is_due() -> None:
    """Nothing is known of any place."""
    agenda = Agenda(PLACES)

    assert _places(agenda.due(0, 5.0)) == PLACES[:2]
    assert _places(agenda.due(1, 5.0)) == PLACES[2:]


def test_what_is_told_while_somebody_looks_is_kept() -> None:
    """A wake-up that comes between the look and its answer is not undone by the answer, which knows nothing of it."""
    agenda = Agenda(PLACES[:1])
    agenda.take((0, "a"))
    assert agenda.due(0, 1e9) == []

    assert agenda.sooner((0, "a"), 7.0)
    agenda.sooner((0, "a"), 100.0)

    assert agenda.next_s == 7.0
    assert agenda.due(0, 6.9) == []
    assert agenda.due(0, 7.0) == [((0, "a"), 7.0)]


def test_what_is_due_first_comes_first() -> None:
    """Whoever waits for the times one after another is late for none."""
    agenda = Agenda(PLACES)
    for place, at_s in zip(PLACES, (9.0, 8.0, 7.0), strict=True):
        agenda.take(place)
        agenda.sooner(place, at_s)

    assert agenda.due(0, 9.0) == [((0, "b"), 8.0), ((0, "a"), 9.0)]


def test_a_place_that_is_not_ours_is_nothing() -> None:
    """Topics of other settings are other dispatchers' work."""
    agenda = Agenda(PLACES)

    assert not agenda.sooner((0, "c"), 1.0)
    assert not agenda.sooner((9, "a"), 1.0)


def test_the_tick_looks_everywhere() -> None:
    """Whatever was known."""
    agenda = Agenda(PLACES)
    for place in PLACES:
        agenda.take(place)
        agenda.sooner(place, 50.0)
    assert (agenda.due(0, 1.0), agenda.next_s) == ([], 50.0)

    agenda.all_now()

    assert _places(agenda.due(0, 1.0)) == PLACES[:2]


def _places(found: Sequence[tuple[Place, float]]) -> list[Place]:
    return [place for place, _ in found]
