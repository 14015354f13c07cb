"""Times and delays as people write them."""

from __future__ import annotations

import random

import pytest

from shared.times import format_ms, parse_delay_ms, parse_time_ms

NOON_MS = 1_906_545_600_000
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2030-06-01T12:00:00Z", NOON_MS),
        ("2030-06-01T12:00:00", NOON_MS),
        ("2030-06-01 12:00:00.250", NOON_MS + 250),
        ("2030-06-01t12:00:00z", NOON_MS),
        ("2030-06-01T23:59:00+11:59", NOON_MS),
        ("2030-06-01T00:00:00-12:00", NOON_MS),
        ("2030-W22-6T12:00:00Z", NOON_MS),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.9995Z", 0),
        ("1969-12-31T23:59:59Z", -1000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        (0, 0),
        (1, 1000),
        (0.001, 1),
        (0.0001, 1),
        (1_906_545_600, NOON_MS),
        (1_906_545_600.1, NOON_MS + 100),
        (1_906_545_600.29, NOON_MS + 290),
        (99_999_999_999, 99_999_999_999_000),
        (1e11, 100_000_000_000),
        (NOON_MS, NOON_MS),
        (NOON_MS + 0.5, NOON_MS + 1),
    ],
)
def test_a_time_is_read_to_the_millisecond(value: str | float, expected: int) -> None:
    """ISO 8601 and epoch numbers give the same integer milliseconds."""
    assert parse_time_ms(value) == expected


@pytest.mark.parametrize("digits", ["0001", "000001", "0000001", "000000000001", "1239999", "9990000001"])
def test_a_fraction_of_a_millisecond_is_never_early(digits: str) -> None:
    """However many digits: the result is the first whole millisecond not before the time."""
    expected = -(-int(digits) * 1000 // 10 ** len(digits))

    assert parse_time_ms(f"2030-06-01T12:00:00.{digits}Z") == NOON_MS + expected


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "now", "2030-06-01", "12:00", "2030-06-01T", "2030-13-01T00:00:00Z", "2030-06-01T12:00:00 Z",
        "2030-06-01T12:00:00Z\0", "2030-06-01x12:00:00Z", "2030-06-01T12:00:00+24:00", "2030-06-01T12:00:60Z",
  "٢٠٣٠-06-01T12:00:00Z", "-1", "1906545600", -1, -0.001,
        1e16, float("nan"), float("inf"), float("-inf"), 10**400,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_what_was_expected(value: str | float) -> None:
    """Each raises ``ValueError``, and nothing else."""
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_time_ms(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0), (0.0, 0), (1, 1000), (0.0001, 1), (1.0005, 1001), (86_400, DAY_MS),
        ("1d", DAY_MS), ("2h", 7_200_000), ("3m", 180_000), ("4s", 4_000), ("5ms", 5), ("0ms", 0),
        ("1d2h3m4s5ms", DAY_MS + 7_384_005), ("90m", 5_400_000), ("10m5ms", 600_005),
    ],
)  # fmt: skip
def test_a_delay_is_read_to_the_millisecond(value: str | float, expected: int) -> None:
    """Seconds as a number, or a duration; a fraction of a millisecond is rounded up."""
    assert parse_delay_ms(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "1.5s",
        "-1s",
        "1s1s",
        "1s2m",
        "1 s",
        "s",
        "1w",
        "1S",
        "\u0663s",
        "9" * 50 + "s",
        -1,
        1e13,
        float("nan"),
        float("inf"),
        10**400,
    ],
)
def test_what_is_no_delay_is_refused_with_what_was_expected(value: str | float) -> None:
    """Each raises ``ValueError``, and nothing else."""
    with pytest.raises(ValueError, match="1d2h30m10s250ms"):
        parse_delay_ms(value)


def test_what_is_written_is_read_as_the_same_millisecond() -> None:
    """``format_ms`` and ``parse_time_ms`` are each other's inverse."""
    for time_ms in (0, 999, NOON_MS, NOON_MS + 7, 2**42 - 1, *(random.Random(1).randrange(2**42) for _ in range(500))):  # noqa: S311 - no secret
        assert parse_time_ms(format_ms(time_ms)) == time_ms


def test_times_are_rfc_3339_utc_with_milliseconds() -> None:
    """One form, always the same length: it sorts as text."""
    assert format_ms(NOON_MS + 7) == "2030-06-01T12:00:00.007Z"
    assert format_ms(0) == "1970-01-01T00:00:00.000Z"
