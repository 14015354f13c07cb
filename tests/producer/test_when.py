"""When a message is delivered: local times, windows, expiry; and the preview that stores nothing."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from shared.record import decode_record
from shared.times import parse_time_ms
from tests.producer.api import Api, assert_problem, stored
from tests.producer.stages import Stages

HOUR_MS = 3_600_000
GAP = {"deliver_at_local": "2027-03-14T02:30:00", "timezone": "America/New_York"}


@pytest.mark.leaves("due")
async def test_a_local_time_is_answered_with_the_instant_that_was_chosen(api: Api) -> None:
    """In the gap of spring it moved forward, and the answer shows both."""
    answer = await api.accepted("/messages", {"topic": "work", **GAP})

    assert answer["deliver_at"] == "2027-03-14T07:30:00.000Z"
    assert answer["deliver_at_local"] == "2027-03-14T03:30:00.000-04:00"
    assert (await api.message(answer["id"]))["deliver_at"] == answer["deliver_at"]


@pytest.mark.leaves("due", "index")
async def test_a_change_takes_a_local_time_too(api: Api) -> None:
    made = await api.accepted("/messages", {"topic": "work", "delay": "1h"})

    changed = await api.call("PATCH", f"/messages/{made['id']}", GAP)

    assert (changed.status, changed.json["deliver_at"]) == (200, "2027-03-14T07:30:00.000Z")


@pytest.mark.parametrize(
    ("content", "field", "says"),
    [
        ({"deliver_at_local": "2027-03-14T02:30:00"}, "timezone", "required beside deliver_at_local"),
        ({"timezone": "Europe/Berlin"}, "timezone", "deliver_at_local beside it"),
        ({"timezone": "Europe/Berlin", "delay": 1}, "timezone", "deliver_at_local beside it"),
        ({**GAP, "timezone": "New York"}, "timezone", "IANA"),
        ({**GAP, "deliver_at_local": "2027-03-14T02:30:00Z"}, "deliver_at_local", "without an offset"),
        ({**GAP, "deliver_at_local": "2099-03-14T02:30:00"}, "deliver_at_local", "HorizonDays"),
        ({**GAP, "delay": 1}, "deliver_at_local", "one of"),
        ({**GAP, "deliver_at": 1}, "deliver_at_local", "one of"),
        ({"spread": "1 hour"}, "spread", "duration"),
        ({"spread": "4000d"}, "spread", "HorizonDays"),
        ({"delay": "3000d", "spread": "1000d"}, "spread", "HorizonDays"),
        ({"expires_after": -1}, "expires_after", "duration"),
        ({"expires_after": 0}, "expires_after", "millisecond"),
        ({"expires_after": 1, "expires_at": "2030-01-01T00:00:00Z"}, "expires_after", "not both"),
        ({"delay": "1h", "spread": "1h", "expires_at": "2026-01-01T00:00:00Z"}, "expires_at", "after the due time"),
        ({"retry": {"delays_ms": [1], "initial_ms": 1}}, "retry.delays_ms", "either"),
        ({"retry": {"delays_ms": [-1]}}, "retry.delays_ms[0]", ">= 0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/messages", "/messages/preview"])
async def test_a_wrong_time_is_refused(
    api: Api, redis: Redis, prefix: str, path: str, content: dict[str, Any], field: str, says: str
) -> None:
    """Each field by its name, also where nothing would be stored anyway."""
    answer = await api.post(path, {"topic": "work", **content})

    assert_problem(answer, 422, field, says=says)
    assert await stored(redis, prefix) == {}


@pytest.mark.leaves("due")
async def test_a_spread_herd_is_even_over_its_window(api: Api, redis: Redis, prefix: str) -> None:
    """A thousand that ask for one time: none early, none late, in each tenth of the window a tenth, within four deviations."""
    at_ms, window_ms = 1_906_545_600_000, 600_000
    one = {"topic": "work", "deliver_at": at_ms, "spread": window_ms / 1000, "expires_after": "1h"}

    batch = await api.accepted("/messages/batch", [one] * 1000)

    rows: Any = await redis.zrange(f"{prefix}:{{0}}:due:work", 0, -1, withscores=True)
    offsets = [int(score) - at_ms for _, score in rows]
    assert len(offsets) == batch["count"] == 1000
    assert min(offsets) >= 0
    assert max(offsets) <= window_ms
    tenths = [sum(1 for offset in offsets if offset * 10 // (window_ms + 1) == tenth) for tenth in range(10)]
    assert all(abs(count - 100) < 4 * 9.5 for count in tenths), tenths
    for member, score in rows:
        assert decode_record(member).options.expires_ms == int(score) + HOUR_MS


@pytest.mark.leaves("due", "idempotency")
async def test_a_repeat_falls_on_the_same_place_in_the_window(api: Api) -> None:
    """With its key the same instant is chosen again, and told again."""
    asked = {"topic": "work", "delay": "1h", "spread": "1d", "expires_after": "2h"}

    first = await api.accepted("/messages", asked, headers={"Idempotency-Key": "k"})
    again = await api.accepted("/messages", asked, headers={"Idempotency-Key": "k"})

    assert again == {**first, "deduplicated": True}
    assert parse_time_ms(first["expires_at"]) == parse_time_ms(first["deliver_at"]) + 2 * HOUR_MS


@pytest.mark.leaves("stream", "finished")
async def test_a_message_that_is_late_by_its_expiry_is_not_delivered(api: Api, stages: Stages) -> None:
    """``expires_after`` becomes the record's own expiry, which is what the worker looks at."""
    made = await api.accepted("/messages", {"topic": "work", "expires_after": "10ms"})
    entry = await stages.run("work")

    expires_ms = decode_record(entry.record).options.expires_ms
    await stages.finish(entry, "expired")

    assert expires_ms == parse_time_ms(made["deliver_at"]) + 10
    assert (await api.message(made["id"]))["status"] == "expired"


@pytest.mark.leaves("due")
async def test_a_change_to_after_its_expiry_is_refused(api: Api) -> None:
    """Such a message would never be delivered."""
    made = await api.accepted("/messages", {"topic": "work", "delay": "1h", "expires_after": "1h"})

    refused = await api.call("PATCH", f"/messages/{made['id']}", {"delay": "3h"})

    assert_problem(refused, 422, "", says="before the message's expires_at")
    assert (await api.message(made["id"]))["deliver_at"] == made["deliver_at"]


async def test_a_preview_shows_the_whole_calendar_and_stores_nothing(api: Api, redis: Redis, prefix: str) -> None:
    """The instants of every attempt that the policy allows, from the message's own list of waits."""
    retry = {"max_attempts": 5, "delays_ms": [1000, 60_000], "jitter": 0.5}
    asked = {"topic": "work", **GAP, "spread": 10, "expires_after": 60, "retry": retry, "deadline_ms": 5}

    answer = await api.post("/messages/preview", asked)

    assert answer.status == 200
    assert answer.json == {
        "topic": "work",
        "deliver_at": "2027-03-14T07:30:00.000Z",
        "deliver_at_latest": "2027-03-14T07:30:10.000Z",
        "deliver_at_local": "2027-03-14T03:30:00.000-04:00",
        "expires_at": "2027-03-14T07:31:00.000Z",
        "deadline_ms": 5,
        "attempts": [
            {"attempt": 1, "earliest": "2027-03-14T07:30:00.000Z", "latest": "2027-03-14T07:30:10.000Z"},
            {"attempt": 2, "earliest": "2027-03-14T07:30:00.500Z", "latest": "2027-03-14T07:30:11.500Z"},
            {"attempt": 3, "earliest": "2027-03-14T07:30:30.500Z", "latest": "2027-03-14T07:31:41.500Z"},
            {"attempt": 4, "earliest": "2027-03-14T07:31:00.500Z", "latest": "2027-03-14T07:33:11.500Z"},
            {"attempt": 5, "earliest": "2027-03-14T07:31:30.500Z", "latest": "2027-03-14T07:34:41.500Z"},
        ],
    }
    assert await stored(redis, prefix) == {}


async def test_a_preview_follows_the_topic_where_the_message_says_nothing(api: Api) -> None:
    """Five attempts with the service's exponential waits of 1, 2, 4 and 8 seconds, a fifth more or less."""
    answer = await api.post("/messages/preview", {"topic": "work", "deliver_at": "2030-01-01T00:00:00Z"})

    attempts = answer.json["attempts"]
    assert [one["attempt"] for one in attempts] == [1, 2, 3, 4, 5]
    assert attempts[-1] == {"attempt": 5, "earliest": "2030-01-01T00:00:12.000Z", "latest": "2030-01-01T00:00:18.000Z"}
