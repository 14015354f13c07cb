"""Histories of a recurring schedule: what the judge makes of an occurrence that was left out, made twice, or made early."""

from __future__ import annotations

from msgspec.structs import replace

from tests.chaos.checker import judge
from tests.chaos.histories import RULES
from tests.chaos.history import AnyEvent, End, Final, History, Start, ref_of
from tests.chaos.recurring import EVERY_MS, NAME, calls

FIRST_MS = 1_000_000
IDS = {FIRST_MS + number * EVERY_MS: f"id-{number}" for number in range(4)}


def runs(made: dict[int, str], *, early_ms: int = 0) -> list[AnyEvent]:
    """Each was run once, two milliseconds after its time, and is delivered."""
    events = list[AnyEvent]()
    for at_ms, message_id in made.items():
        ref, at_us = ref_of(NAME, at_ms), (at_ms + 2 - early_ms) * 1000
        events += [
            Start(at_us=at_us, run=f"run-{at_ms}", ref=ref, id=message_id, attempt=1, worker="w1"),
            End(at_us=at_us + 100, run=f"run-{at_ms}", ending="returned"),
            Final(at_us=at_us + 10_000_000, ref=ref, id=message_id, state="delivered"),
        ]
    return events


def kinds(made: dict[int, str], *more: AnyEvent, early_ms: int = 0) -> list[str]:
    events = [*calls(FIRST_MS, made, "memory"), *runs(made, early_ms=early_ms), *more]
    history = History(replace(RULES), tuple(sorted(events, key=lambda event: event.at_us)))
    return [violation.kind for violation in judge(history).violations]


def test_every_occurrence_once_is_right() -> None:
    assert kinds(IDS) == []


def test_an_occurrence_that_was_left_out_is_lost() -> None:
    """Between two that were made."""
    assert kinds({at_ms: name for at_ms, name in IDS.items() if name != "id-2"}) == ["lost"]


def test_an_occurrence_that_was_made_twice_is_found() -> None:
    """Under one id it is run again without a reason; under two ids it is a request with two."""
    at_ms = FIRST_MS + EVERY_MS
    ref, late_us = ref_of(NAME, at_ms), (at_ms + 50) * 1000
    again = Start(at_us=late_us, run="again", ref=ref, id="id-1", attempt=1, worker="w2")
    ended = End(at_us=late_us + 100, run="again", ending="returned")

    assert kinds(IDS, again, ended) == ["duplicate"]
    assert "strange" in kinds(IDS, replace(again, id="other"), ended)


def test_an_occurrence_that_was_made_before_its_time_is_early() -> None:
    assert set(kinds(IDS, early_ms=3)) == {"early"}
