"""Local times of zones whose clocks change, against instants worked out by hand from the published dates of the changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.times import LOCAL_EXPECTED, parse_local_ms
from shared.zones import ZONE_EXPECTED, format_local, is_skipped, zone_of

CHANGES = [
    # spring forward: a time that the clocks skip moves forward by what was skipped
    ("Europe/Berlin", "2027-03-28T02:30:00", "2027-03-28T01:30:00Z", "2027-03-28T03:30:00.000+02:00"),
    ("America/New_York", "2027-03-14T02:30:00", "2027-03-14T07:30:00Z", "2027-03-14T03:30:00.000-04:00"),
    ("America/St_Johns", "2027-03-14T02:15:00", "2027-03-14T05:45:00Z", "2027-03-14T03:15:00.000-02:30"),
    ("Australia/Lord_Howe", "2027-10-03T02:10:00", "2027-10-02T15:40:00Z", "2027-10-03T02:40:00.000+11:00"),
    ("Africa/Cairo", "2027-04-30T00:30:00", "2027-04-29T22:30:00Z", "2027-04-30T01:30:00.000+03:00"),
    ("Pacific/Auckland", "2027-09-26T02:59:59.999", "2027-09-25T14:59:59.999Z", "2027-09-26T03:59:59.999+13:00"),
    ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00Z", "2011-12-31T12:00:00.000+14:00"),
    # fall back: of a time that comes twice it is the earlier
    ("Europe/Berlin", "2027-10-31T02:30:00", "2027-10-31T00:30:00Z", "2027-10-31T02:30:00.000+02:00"),
    ("America/New_York", "2027-11-07T01:30:00", "2027-11-07T05:30:00Z", "2027-11-07T01:30:00.000-04:00"),
    ("America/St_Johns", "2027-11-07T01:15:00", "2027-11-07T03:45:00Z", "2027-11-07T01:15:00.000-02:30"),
    ("Australia/Lord_Howe", "2027-04-04T01:45:00", "2027-04-03T14:45:00Z", "2027-04-04T01:45:00.000+11:00"),
    ("Africa/Cairo", "2027-10-28T23:30:00", "2027-10-28T20:30:00Z", "2027-10-28T23:30:00.000+03:00"),
    ("Pacific/Auckland", "2027-04-04T02:30:00", "2027-04-03T13:30:00Z", "2027-04-04T02:30:00.000+13:00"),
    # neither
    ("UTC", "2027-03-28T02:30:00", "2027-03-28T02:30:00Z", "2027-03-28T02:30:00.000+00:00"),
    ("Asia/Kathmandu", "2027-01-01T00:00:00.0001", "2026-12-31T18:15:00.001Z", "2027-01-01T00:00:00.001+05:45"),
]


@pytest.mark.parametrize(("zone", "local", "instant", "shown"), CHANGES)
def test_a_local_time_is_the_instant_that_the_rules_say(zone: str, local: str, instant: str, shown: str) -> None:
    """In gaps and folds of an hour, of half an hour, at midnight, of a whole day; a fraction of a millisecond is not early."""
    expected = round(datetime.fromisoformat(instant).timestamp() * 1000)

    assert parse_local_ms(local, zone_of(zone)) == expected
    assert format_local(expected, zone_of(zone)) == shown


@pytest.mark.parametrize(
    "text", ["", "2027-03-28", "2027-03-28T02:30:00Z", "2027-03-28T02:30:00+02:00", "tomorrow", "2027-02-29T00:00"]
)
def test_what_is_no_local_time_is_refused(text: str) -> None:
    """An offset says what the zone is to say."""
    with pytest.raises(ValueError, match=LOCAL_EXPECTED):
        parse_local_ms(text, zone_of("Europe/Berlin"))


def test_the_last_local_times_of_all_are_refused() -> None:
    """Their instant is beyond what a date can be."""
    with pytest.raises(ValueError, match=LOCAL_EXPECTED):
        parse_local_ms("9999-12-31T23:59:59", zone_of("America/New_York"))


@pytest.mark.parametrize(
    "name", ["", "berlin", "europe/berlin", "Europe", "../etc/passwd", "/etc/localtime", "UTC\0", "Mars/Olympus"]
)
def test_what_names_no_zone_is_refused(name: str) -> None:
    """Neither a folder of zones nor a file elsewhere is one."""
    with pytest.raises(ValueError, match=ZONE_EXPECTED):
        zone_of(name)


def test_only_what_the_clocks_never_show_is_skipped() -> None:
    """The first and the last second of a gap, and those beside it."""
    berlin = zone_of("Europe/Berlin")
    day = datetime(2027, 3, 28, tzinfo=UTC).replace(tzinfo=None)

    shown = [is_skipped(day.replace(hour=hour, minute=minute, second=second), berlin) for hour, minute, second in
             [(1, 59, 59), (2, 0, 0), (2, 59, 59), (3, 0, 0)]]  # fmt: skip

    assert shown == [False, True, True, False]
