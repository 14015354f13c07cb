"""Which occurrences of a schedule are made, after what kind of absence."""

from __future__ import annotations

import random
from itertools import islice, takewhile

import pytest

from shared.recurrence import MOST_COUNTED, ON_TIME_MS, CatchUp, Definition, Rule, Turn, turn

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NOON_MS = 1_906_545_600_000
EVERY_MINUTE = Rule(every_ms=MINUTE_MS, anchor_ms=NOON_MS)
CRON_MINUTE = Rule(cron="* * * * *")


def definition(rule: Rule = EVERY_MINUTE, **more: object) -> Definition:
    return Definition(rule=rule, topic="work", **more)  # type: ignore[arg-type] # its fields


def of(rule: Rule, first_ms: int, last_ms: int) -> list[int]:
    return list(takewhile(lambda at_ms: at_ms <= last_ms, rule.all_after(first_ms - 1)))


def test_intervals_are_counted_from_their_anchor() -> None:
    """They do not drift: each is a multiple away, whenever it is asked for."""
    rule = Rule(every_ms=7_001, anchor_ms=NOON_MS)

    assert list(islice(rule.all_after(NOON_MS), 3)) == [NOON_MS + 7_001, NOON_MS + 14_002, NOON_MS + 21_003]
    assert [rule.after(NOON_MS + offset) for offset in (7_000, 7_001, 7_002)] == [
        NOON_MS + 7_001,
        NOON_MS + 14_002,
        NOON_MS + 14_002,
    ]


@pytest.mark.parametrize("rule", [EVERY_MINUTE, CRON_MINUTE])
def test_nothing_occurs_before_its_start_or_after_its_end(rule: Rule) -> None:
    """Both are times at which it still may."""
    start_ms, end_ms = NOON_MS + 5 * MINUTE_MS, NOON_MS + 8 * MINUTE_MS
    bounded = Rule(cron=rule.cron, every_ms=rule.every_ms, anchor_ms=rule.anchor_ms, start_ms=start_ms, end_ms=end_ms)

    assert list(bounded.all_after(NOON_MS)) == [start_ms, start_ms + MINUTE_MS, start_ms + 2 * MINUTE_MS, end_ms]
    assert bounded.after(end_ms) is None


@pytest.mark.parametrize(
    "rule",
    [
        Rule(every_ms=333, anchor_ms=NOON_MS), Rule(cron="*/7 * * * *"), Rule(cron="0 0 1 */5 *"), Rule(cron="0 0 29 2 *"),
        Rule(cron="30 2 * * *", timezone="Europe/Berlin"), Rule(cron="0 9 * * MON", timezone="Asia/Tokyo"),
    ],
)  # fmt: skip
def test_the_last_one_until_a_time_is_the_last_that_occurs(rule: Rule) -> None:
    """Against a walk over all of them, from chance beginnings to chance ends; the first is found where it is the only one."""
    dice = random.Random(7)  # noqa: S311 - chance, no secret
    first_ms = rule.after(NOON_MS)
    assert first_ms is not None
    longest_ms = 5000 * 333 if rule.every_ms else 40 * DAY_MS if "*/7" in str(rule.cron) else 6000 * DAY_MS
    for _ in range(10):
        until_ms = first_ms + dice.randrange(longest_ms)
        assert rule.last_until(until_ms, first_ms) == of(rule, first_ms, until_ms)[-1]
    assert rule.last_until(first_ms, first_ms) == first_ms


@pytest.mark.parametrize("rule", [EVERY_MINUTE, CRON_MINUTE])
@pytest.mark.parametrize("late_ms", [0, 1, ON_TIME_MS])
@pytest.mark.parametrize("catch_up", ["all", "latest", "none"])
def test_what_is_on_time_is_made(rule: Rule, late_ms: int, catch_up: CatchUp) -> None:
    """Up to ten seconds late, whatever is to become of missed ones."""
    at_ms = NOON_MS + MINUTE_MS

    assert turn(definition(rule, catch_up=catch_up), at_ms, at_ms + late_ms, 0, 100) == Turn(
        (at_ms,), at_ms + MINUTE_MS, next_if_skipped_ms=at_ms + MINUTE_MS
    )


@pytest.mark.parametrize(
    ("catch_up", "within_ms", "made", "missed"),
    [
        ("all", None, range(1, 11), 0),
        ("latest", None, [10], 9),
        ("none", None, [], 10),
        ("all", 3 * MINUTE_MS, [8, 9, 10], 7),
        ("all", 0, [], 10),
        ("latest", HOUR_MS, [10], 9),
        ("latest", 0, [], 10),
    ],
)
@pytest.mark.parametrize("rule", [EVERY_MINUTE, CRON_MINUTE])
def test_what_was_missed_is_made_up_as_it_was_asked_for(
    rule: Rule, catch_up: CatchUp, within_ms: int | None, made: list[int], missed: int
) -> None:
    """Ten minutes and a half without anybody: all, the latest, none, those of the last three minutes."""
    first_ms, now_ms = NOON_MS + MINUTE_MS, NOON_MS + 10 * MINUTE_MS + 30_000

    found = turn(definition(rule, catch_up=catch_up, catch_up_within_ms=within_ms), first_ms, now_ms, 0, 100)

    assert found.occurrences == tuple(NOON_MS + minute * MINUTE_MS for minute in made)
    assert (found.next_ms, found.missed) == (NOON_MS + 11 * MINUTE_MS, missed)


def test_of_a_quick_rule_those_on_time_are_made_after_an_absence() -> None:
    """Every second, an hour without anybody: those of the last ten seconds, whether the latest is asked for or none."""
    rule = Rule(every_ms=1_000, anchor_ms=NOON_MS)
    now_ms = NOON_MS + HOUR_MS

    for catch_up in ("latest", "none"):
        found = turn(definition(rule, catch_up=catch_up), NOON_MS + 1_000, now_ms, 0, 100)
        assert found.occurrences == tuple(range(now_ms - ON_TIME_MS, now_ms + 1, 1_000))
        assert found.missed == MOST_COUNTED


def test_a_long_absence_is_made_up_in_turns() -> None:
    """At most so many at once; each turn goes on where the one before ended, and none is left out or made twice."""
    now_ms, next_ms, made = NOON_MS + 1000 * MINUTE_MS, NOON_MS + MINUTE_MS, list[int]()
    while next_ms <= now_ms:
        found = turn(definition(catch_up="all"), next_ms, now_ms, len(made), 64)
        assert 0 < len(found.occurrences) <= 64
        assert found.next_ms is not None
        made += found.occurrences
        next_ms = found.next_ms

    assert made == [NOON_MS + minute * MINUTE_MS for minute in range(1, 1001)]


def test_a_month_of_seconds_is_given_up_quickly() -> None:
    """Only so many are counted: the dispatcher has other work."""
    found = turn(definition(Rule(cron="* * * * * *")), NOON_MS, NOON_MS + 30 * DAY_MS, 0, 100)

    assert (found.occurrences[-1], found.missed) == (NOON_MS + 30 * DAY_MS, MOST_COUNTED)


def test_its_runs_are_bounded() -> None:
    """The last of them ends the schedule, also within a turn."""
    bounded = definition(catch_up="all", max_runs=5)
    now_ms = NOON_MS + 10 * MINUTE_MS

    assert turn(bounded, NOON_MS + MINUTE_MS, now_ms, 3, 100) == Turn(
        (NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS), None, next_if_skipped_ms=NOON_MS + 3 * MINUTE_MS
    )
    assert turn(bounded, NOON_MS + MINUTE_MS, now_ms, 5, 100) == Turn((), None)


def test_of_those_that_would_overlap_each_other_the_last_is_made() -> None:
    """And it goes on after them, whether it is made or the message before is not over."""
    found = turn(definition(catch_up="all", overlap="skip"), NOON_MS + MINUTE_MS, NOON_MS + 3 * MINUTE_MS, 0, 100)

    assert found == Turn((NOON_MS + 3 * MINUTE_MS,), NOON_MS + 4 * MINUTE_MS, 0, 2, NOON_MS + 4 * MINUTE_MS)


def test_a_run_that_is_left_out_does_not_end_a_schedule_of_one_run() -> None:
    """Made, it would be the last one; left out, there is one to come."""
    found = turn(definition(overlap="skip", max_runs=1), NOON_MS + MINUTE_MS, NOON_MS + MINUTE_MS, 0, 100)

    assert (found.next_ms, found.next_if_skipped_ms) == (None, NOON_MS + 2 * MINUTE_MS)


def test_what_was_planned_is_made_though_the_zone_has_changed_its_rules() -> None:
    """The planned time is no occurrence of the rule any more: it is made, and the rule goes on from there."""
    planned_ms = NOON_MS + 17_000

    found = turn(definition(CRON_MINUTE), planned_ms, planned_ms + 5, 0, 100)

    assert (found.occurrences, found.next_ms) == ((planned_ms,), NOON_MS + MINUTE_MS)
