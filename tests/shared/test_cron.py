"""Cron expressions against an oracle that looks at every minute of the days around each change of the clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from shared.cron import CRON_EXPECTED, Cron

MINUTE = timedelta(minutes=1)
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
CHANGES = {
    "Europe/Berlin": ("2027-03-28", "2027-10-31"),
    "America/New_York": ("2027-03-14", "2027-11-07"),
    "America/St_Johns": ("2027-03-14", "2027-11-07"),
    "America/Santiago": ("2027-09-05", "2027-04-04"),
    "Australia/Lord_Howe": ("2027-10-03", "2027-04-04"),
    "Pacific/Auckland": ("2027-09-26", "2027-04-04"),
    "Africa/Cairo": ("2027-04-30", "2027-10-29"),
    "Asia/Beirut": ("2027-03-28", "2027-10-31"),
}
"""Zones north and south, of an hour and of half an hour, at midnight and later, with the days of their changes."""


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def fired(expression: str, zone: str, first: datetime, last: datetime) -> list[str]:
    """Everything between two instants, as the zone's clocks show it, with their offset."""
    cron, at_ms, found = Cron(expression, ZoneInfo(zone)), ms(first) - 1, []
    while (at := cron.after(at_ms)) is not None and at <= ms(last):
        found.append(shown(at, zone))
        at_ms = at
    return found


def shown(at_ms: int, zone: str) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(zone)).isoformat()


def around(day: str) -> tuple[datetime, datetime]:
    noon = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
    return noon - timedelta(days=2), noon + timedelta(days=2)


def instants(first: datetime, last: datetime) -> Iterator[datetime]:
    """Every minute that passes."""
    while first <= last:
        yield first
        first += MINUTE


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("change", [0, 1], ids=["spring", "autumn"])
@pytest.mark.parametrize("every", [1, 5, 15, 30])
def test_what_begins_with_a_star_goes_by_the_time_that_passes(zone: str, change: int, every: int) -> None:
    """Each minute of four days is looked at: it fires whenever the clock shows such a minute, in the fold twice."""
    first, last = around(CHANGES[zone][change])
    expected = [local.isoformat() for at in instants(first, last) if (local := at.astimezone(ZoneInfo(zone))).minute % every == 0]

    assert fired(f"*/{every} * * * *", zone, first, last) == expected


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("change", [0, 1], ids=["spring", "autumn"])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 23])
@pytest.mark.parametrize("minute", [0, 15, 59])
@pytest.mark.parametrize("seconds", ["", "0 "], ids=["five fields", "six fields"])
def test_a_fixed_time_fires_once_a_day(zone: str, change: int, hour: int, minute: int, seconds: str) -> None:
    """Each minute that the clock shows is looked at: the first time it is the hour and minute; where a day has none, right after
    the gap, which is where two minutes that follow each other are more than a minute apart on the clock."""
    first, last = around(CHANGES[zone][change])
    expected, done = [], set()
    before: datetime | None = None
    for at in instants(first - timedelta(days=1), last):
        local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        wanted = local.replace(hour=hour, minute=minute)
        jumped = before is not None and local - before > MINUTE
        if before is not None and jumped:
            for candidate in (wanted, wanted - timedelta(days=1), wanted + timedelta(days=1)):
                if before < candidate < local and candidate.date() not in done:
                    done.add(candidate.date())
                    expected.append(at)
        if local == wanted and local.date() not in done:
            done.add(local.date())
            expected.append(at)
        before = local
    expected = [at for at in expected if at >= first]

    assert fired(f"{seconds}{minute} {hour} * * *", zone, first, last) == [
        at.astimezone(ZoneInfo(zone)).isoformat() for at in expected
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "day", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2027-03-28", "2027-03-28T03:00:00+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2027-10-31", "2027-10-31T02:30:00+02:00"),
        ("30 2 * * *", "America/New_York", "2027-03-14", "2027-03-14T03:00:00-04:00"),
        ("30 1 * * *", "America/New_York", "2027-11-07", "2027-11-07T01:30:00-04:00"),
        ("15 2 * * *", "Australia/Lord_Howe", "2027-10-03", "2027-10-03T02:30:00+11:00"),
        ("30 0 * * *", "Africa/Cairo", "2027-04-30", "2027-04-30T01:00:00+03:00"),
        ("30 2 * * *", "America/St_Johns", "2027-03-14", "2027-03-14T03:00:00-02:30"),
        ("30 2 * * *", "Pacific/Auckland", "2027-04-04", "2027-04-04T02:30:00+13:00"),
    ],
)
def test_the_days_of_the_changes_by_hand(expression: str, zone: str, day: str, expected: str) -> None:
    """The same, written out for whoever reads this."""
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))

    assert fired(expression, zone, start, start.replace(hour=23, minute=59)) == [expected]


def test_two_fixed_times_in_one_gap_fire_once_together() -> None:
    """At the end of the gap there is one moment only."""
    start = datetime(2027, 3, 28, tzinfo=ZoneInfo("Europe/Berlin"))

    found = fired("0,30 2,3 * * *", "Europe/Berlin", start, start + timedelta(hours=5))

    assert found == ["2027-03-28T03:00:00+02:00", "2027-03-28T03:30:00+02:00"]


@pytest.mark.parametrize("number", range(8))
def test_every_weekday_by_number_and_by_name(number: int) -> None:
    """Sunday is 0 and 7."""
    name = DAYS[number % 7]
    first, last = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 31, 23, 59, tzinfo=UTC)
    expected = [at for at in instants(first, last) if at.hour == at.minute == 0 and at.strftime("%a").upper() == name]

    for expression in (f"0 0 * * {number}", f"0 0 * * {name}", f"0 0 * * {name.lower()}"):
        assert fired(expression, "UTC", first, last) == [at.isoformat() for at in expected], expression
    assert len(expected) in {4, 5}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 13 * FRI", 12 + 53 - 1),  # 13th or Friday: in 2027 there are 53 Fridays, of which one is a 13th
        ("0 0 * * MON-FRI", 261),
        ("0 0 L * *", 12),
        ("0 0 LW * *", 12),
        ("0 0 * * MON#2", 12),
        ("0 0 * * 5L", 12),
        ("0 0 1 */3 *", 4),
        ("0 0 29 2 *", 0),
        ("0 12 1-7 JAN,jul *", 14),
        ("@yearly", 1), ("@annually", 1), ("@monthly", 12), ("@weekly", 52), ("@daily", 365), ("@MIDNIGHT", 365),
        ("@hourly", 8760),
        ("30 0 0 * * *", 365),
        ("*/20 0 0 1 1 *", 3),
    ],
)  # fmt: skip
def test_how_often_it_fires_in_2027(expression: str, expected: int) -> None:
    """Counted by hand: names, ranges, steps, last days, macros, seconds; either of the two day fields where both are given."""
    found = fired(expression, "UTC", datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert len(found) == expected
    assert len(set(found)) == expected


def test_what_follows_is_after_and_to_the_millisecond() -> None:
    """From the moment itself the next one, from a millisecond before it the moment."""
    cron, noon = Cron("0 12 * * *", ZoneInfo("UTC")), ms(datetime(2027, 6, 1, 12, tzinfo=UTC))

    assert [cron.after(noon - 1), cron.after(noon - 999), cron.after(noon)] == [noon, noon, noon + 86_400_000]
    assert list(islice(iter(lambda: cron.after(noon + 1), None), 1)) == [noon + 86_400_000]


@pytest.mark.parametrize(
    "expression",
    ["", " ", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "x * * * *",
     "@reboot", "@never", "*/0 * * * *", "5-1 * * * *", "* * * * MON#6", "0 0 30 2 *", "0 0 31 4,6 *",
     "1,2" * 100, "\u0661 * * * *"],
)  # fmt: skip
def test_what_is_none_or_never_fires_is_refused(expression: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match="expected a cron expression") as caught:
        Cron(expression, ZoneInfo("UTC"))

    assert str(caught.value).startswith(CRON_EXPECTED)
