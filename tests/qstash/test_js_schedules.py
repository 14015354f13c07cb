"""Schedules with QStash's client for JavaScript."""

from __future__ import annotations

import pytest

from tests.qstash.js_client import Js, JsError
from tests.qstash.signed import check
from tests.qstash.whole import SELDOM, Served, run_now
from tests.support.receiver import Receiver


async def test_a_schedule_is_shown_with_all_that_it_says(js: Js, receiver: Receiver, name: str) -> None:
    made = await js(
        "schedules.create",
        {
            "destination": receiver.url("/a"), "cron": SELDOM, "body": '{"tick":1}', "headers": {"X-Test": "one"},
            "method": "PUT", "retries": 7, "retryDelay": "1000", "delay": 60, "timeout": 30, "scheduleId": name,
            "callback": receiver.url("/told"), "failureCallback": receiver.url("/failed"), "label": [name, "two"],
            "flowControl": {"key": name, "parallelism": 3, "rate": 5, "period": 60},
        },
    )  # fmt: skip

    told = await js("schedules.get", name)

    assert made == {"scheduleId": name}
    assert (told["scheduleId"], told["destination"], told["cron"], told["body"]) == (
        name,
        receiver.url("/a"),
        SELDOM,
        '{"tick":1}',
    )
    assert {key.lower(): value for key, value in told["header"].items()}["x-test"] == ["one"]
    assert (told["method"], told["retries"], told["retryDelayExpression"], told["delay"]) == ("PUT", 7, "1000", 60)
    assert (told["callback"], told["failureCallback"]) == (receiver.url("/told"), receiver.url("/failed"))
    assert (told["label"], told["labels"], told["isPaused"]) == (name, [name, "two"], False)
    assert (told["flowControlKey"], told["parallelism"], told["ratePerSecond"], told["period"]) == (name, 3, 5, 60)
    assert told["nextScheduleTime"] > told["createdAt"]


async def test_a_schedule_is_paused_resumed_listed_and_deleted(js: Js, receiver: Receiver, name: str) -> None:
    await js("schedules.create", {"destination": receiver.url("/a"), "cron": SELDOM, "scheduleId": name, "queueName": name})

    await js("schedules.pause", {"schedule": name})
    assert (await js("schedules.get", name))["isPaused"] is True
    await js("schedules.resume", {"schedule": name})
    (told,) = await js("schedules.list")
    assert (told["scheduleId"], told["isPaused"], told["queueName"]) == (name, False, name)

    await js("schedules.delete", name)
    assert await js("schedules.list") == []
    with pytest.raises(JsError, match=r"QstashError \(404\)"):
        await js("schedules.get", name)


async def test_a_run_sends_what_the_schedule_says(js: Js, receiver: Receiver, emptied: Served, name: str) -> None:
    await js(
        "schedules.create",
        {"destination": receiver.url("/a"), "cron": SELDOM, "body": '{"tick":1}', "scheduleId": name, "headers": {"X-Test": "1"}},
    )

    await run_now(emptied, name)

    arrival = await receiver.first("/a")
    assert (arrival.json(), arrival.headers["Content-Type"], arrival.headers["X-Test"]) == ({"tick": 1}, "application/json", "1")
    assert arrival.headers["Upstash-Schedule-Id"] == name
    check(arrival)
