"""When the next try is made. Pure: no clock, no network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from client import Accepted, Retry, Unavailable, Unreachable
from client.call import Call
from client.exchange import Exchange
from client.message_calls import schedule


def test_each_wait_may_be_twice_as_long_up_to_the_longest() -> None:
    """Half of a wait is fixed and half is random, so that callers who failed together do not come back together."""
    retry = Retry(tries=9, within_s=1000, initial_s=1, max_s=6)

    waits = [[retry.wait_s(tries, 0, None) for _ in range(50)] for tries in (1, 2, 3, 4, 8)]

    for found, longest in zip(waits, (1, 2, 4, 6, 6), strict=True):
        assert all(wait is not None and longest / 2 <= wait <= longest for wait in found)
        assert len(set(found)) > 1


def test_there_are_so_many_tries_and_no_more() -> None:
    """The first counts."""
    retry = Retry(tries=3)

    assert [retry.wait_s(tries, 0, None) is None for tries in (1, 2, 3, 4)] == [False, False, True, True]


def test_no_try_begins_after_the_time() -> None:
    """Neither by itself nor because the service asks to wait for longer than is left."""
    retry = Retry(within_s=10, initial_s=1)

    assert retry.wait_s(1, 8.9, None) is not None
    assert retry.wait_s(1, 9.6, None) is None
    assert retry.wait_s(1, 5, 4.0) is not None
    assert retry.wait_s(1, 5, 5.0) is None


def test_what_the_service_asks_for_is_the_least() -> None:
    """The random part comes on top."""
    waits = [Retry(initial_s=1).wait_s(1, 0, 7.0) for _ in range(50)]

    assert all(wait is not None and 7.5 <= wait <= 8 for wait in waits)


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"within_s": -1}, {"initial_s": -0.1}, {"max_s": -1}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    """The complaint names the field."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retry(**wrong)


def asked(retry_after: str, now: list[float] | None = None) -> tuple[Exchange[Accepted], httpx2.Response]:
    call: Call[Accepted] = schedule("work")
    exchange = Exchange(call, Retry(within_s=200, initial_s=0), (lambda: now.pop(0)) if now else lambda: 0.0)
    return exchange, httpx2.Response(503, headers={"Retry-After": retry_after})


def test_a_number_of_seconds_is_waited() -> None:
    """As this service sends it."""
    exchange, response = asked("100")

    assert exchange.wait_s(response) == 100


def test_a_date_is_waited_for() -> None:
    """As others may; one that has passed is now."""
    for ahead, least, most in ((timedelta(seconds=100), 90, 100), (timedelta(seconds=-100), 0, 0)):
        exchange, response = asked(format_datetime(datetime.now(UTC) + ahead, usegmt=True))
        wait_s = exchange.wait_s(response)
        assert wait_s is not None
        assert least <= wait_s <= most


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "", "Fri, 31 Dec 1999 23:59:59"])
def test_what_is_neither_is_ignored(text: str) -> None:
    """The policy's own wait holds."""
    exchange, response = asked("1")
    response.headers["Retry-After"] = text

    assert exchange.wait_s(response) == 0


def test_the_time_of_all_tries_counts() -> None:
    """Also that which they themselves took: after 199 seconds there is time for another, after 201 there is none."""
    exchange, response = asked("0", [0.0, 199.0, 201.0])

    assert exchange.wait_s(response) == 0
    with pytest.raises(Unavailable) as error:
        exchange.wait_s(response)
    assert error.value.retry_after_s == 0


@pytest.mark.parametrize(
    ("failure", "maybe_done"),
    [
        (httpx2.ConnectError("refused"), False),
        (httpx2.ConnectTimeout(""), False),
        (httpx2.PoolTimeout(""), False),
        (httpx2.ReadTimeout(""), True),
        (httpx2.WriteError("cut"), True),
        (httpx2.RemoteProtocolError("cut"), True),
    ],
)
def test_a_lost_connection_is_told_from_one_that_never_was(failure: httpx2.TransportError, *, maybe_done: bool) -> None:
    """Only what left this machine may have been done; once a try may have, that stays so."""
    exchange = Exchange(schedule("work"), Retry(tries=2, initial_s=0))
    exchange.wait_s(failure)

    with pytest.raises(Unreachable) as error:
        exchange.wait_s(httpx2.ConnectError("refused"))

    assert error.value.maybe_done is maybe_done
    assert "refused" in error.value.detail
