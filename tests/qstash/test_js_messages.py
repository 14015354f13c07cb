"""Messages looked at and cancelled, with QStash's client for JavaScript."""

from __future__ import annotations

import time

import pytest

from tests.qstash.js_client import Js, JsError, in_date
from tests.support.receiver import Receiver


async def later(js: Js, url: str, **options: object) -> str:
    """The id of a message that waits for an hour."""
    return str((await js("publish", {"url": url, "body": "x", "delay": "1h", **options}))["messageId"])


async def test_a_message_that_waits_is_shown_with_all_that_it_carries(js: Js, receiver: Receiver, name: str) -> None:
    flow = {"key": name, "parallelism": 3, "rate": 5, "period": "2m"}
    message_id = await later(
        js, receiver.url("/a"), headers={"X-Test": "one"}, method="PUT", retries=7, retryDelay="1000", timeout=30,
        callback=receiver.url("/told"), failureCallback=receiver.url("/failed"), label=[name, "two"], flowControl=flow,
    )  # fmt: skip

    told = await js("messages.get", message_id)

    assert (told["messageId"], told["url"], told["body"], told["method"]) == (message_id, receiver.url("/a"), "x", "PUT")
    assert {key.lower(): value for key, value in told["header"].items()}["x-test"] == ["one"]
    assert (told["maxRetries"], told["retryDelayExpression"]) == (7, "1000")
    assert (told["callback"], told["failureCallback"]) == (receiver.url("/told"), receiver.url("/failed"))
    assert (told["label"], told["labels"]) == (name, [name, "two"])
    assert (told["flowControlKey"], told["parallelism"], told["rate"], told["ratePerSecond"], told["period"]) == (
        name, 3, 5, 5, 120,
    )  # fmt: skip
    assert told["callerIP"] == "127.0.0.1"


async def test_messages_are_cancelled_in_every_way_the_client_has(js: Js, receiver: Receiver) -> None:
    """By one id, by some, by the older calls, and all."""
    ids = [await later(js, receiver.url("/a")) for _ in range(9)]

    assert (await js("messages.cancel", ids[0]))["cancelled"] == 1
    await js("messages.delete", ids[1])
    assert (await js("messages.cancel", [ids[2], ids[3], "msg_none"]))["cancelled"] == 2
    assert (await js("messages.cancel", {"messageIds": [ids[4]]}))["cancelled"] == 1
    assert await js("messages.deleteMany", [ids[5]]) == 1
    assert (await js("messages.get", ids[6]))["messageId"] == ids[6]
    assert (await js("messages.cancel", {"all": True}))["cancelled"] == 3
    assert await js("messages.deleteAll") == 0
    for name in ("messages.get", "messages.cancel", "messages.delete"):
        with pytest.raises(JsError, match=r"QstashError \(404\)"):
            await js(name, ids[0])


async def test_each_filter_cancels_its_own(js: Js, receiver: Receiver, name: str) -> None:
    """Each is tried on two messages, of which it means one."""
    full, plain = receiver.url("/full"), receiver.url("/plain")
    await js("urlGroups.addEndpoints", {"name": name, "endpoints": [{"url": full}]})
    host = full.removeprefix("http://").removesuffix("/full")
    publishing = {"label": name, "flowControl": {"key": name, "parallelism": 1}}
    kept = await later(js, plain)
    for wanted in (
        {"label": name}, {"label": [name, "other"]}, {"flowControlKey": name}, {"url": full}, {"path": "/full"},
        {"label": name, "host": host}, {"label": name, "callerIp": "127.0.0.1"},
        {"label": name, "fromDate": in_date(int(time.time() * 1000) - 60_000)},
        {"label": name, "toDate": int(time.time() * 1000) + 60_000},
    ):  # fmt: skip
        await later(js, full, **publishing)
        assert (await js("messages.cancel", {"filter": wanted}))["cancelled"] == 1, wanted
    await js("publish", {"urlGroup": name, "delay": "1h"})
    assert (await js("messages.cancel", {"filter": {"urlGroup": name}}))["cancelled"] == 1
    await js.queue(name, "upsert", {"paused": True})
    await js.queue(name, "enqueue", {"url": full})
    assert (await js("messages.cancel", {"filter": {"queueName": name}}))["cancelled"] == 1
    assert (await js("messages.cancel", {"filter": {"scheduleId": "none"}}))["cancelled"] == 0
    assert (await js("messages.get", kept))["messageId"] == kept
