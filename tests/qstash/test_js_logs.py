"""The log with QStash's client for JavaScript: each message's way, found by each filter."""

from __future__ import annotations

import base64
import time

from tests.qstash.js_client import Js, in_date
from tests.support.receiver import Answer, Receiver


async def test_a_delivery_is_logged_from_its_making_to_its_end(js: Js, receiver: Receiver, name: str) -> None:
    """``events`` is the older name of ``logs``."""
    sent = await js("publish", {"url": receiver.url("/a"), "body": "x", "label": [name, "two"]})

    entries = await js.logged(sent["messageId"], "DELIVERED")

    assert [one["state"] for one in reversed(entries)] == ["CREATED", "ACTIVE", "DELIVERED"]
    created = entries[-1]
    assert (created["url"], created["label"], created["labels"]) == (receiver.url("/a"), name, [name, "two"])
    assert base64.b64decode(created["body"]) == b"x"
    older = await js("events", {"messageIds": [sent["messageId"]]})
    assert older["events"] == older["logs"] == entries


async def test_a_failure_is_logged_with_what_follows(js: Js, receiver: Receiver) -> None:
    sent = await js("publish", {"url": receiver.answers("/a", Answer(500)), "retries": 1, "retryDelay": "10"})

    entries = await js.logged(sent["messageId"], "FAILED")

    assert {"CREATED", "ACTIVE", "ERROR", "RETRY", "FAILED"} == {one["state"] for one in entries}
    assert all(one["error"] for one in entries if one["state"] == "ERROR")


async def test_each_filter_finds_its_own(js: Js, receiver: Receiver, name: str) -> None:
    """One message that has everything, one that has nothing of it; of two values either will do."""
    started_ms = int(time.time() * 1000)
    full, plain = receiver.url("/full"), receiver.url("/plain")
    host = full.removeprefix("http://").removesuffix("/full")
    await js("urlGroups.addEndpoints", {"name": name, "endpoints": [{"url": full}]})
    (sent,) = await js.queue(name, "enqueue", {"urlGroup": name, "label": name})
    flow = await js("publish", {"url": plain, "flowControl": {"key": name, "parallelism": 1}})
    await js.logged(sent["messageId"], "DELIVERED")
    await js.logged(flow["messageId"], "DELIVERED")
    for one in (
        {"messageId": sent["messageId"]}, {"url": full}, {"urlGroup": name}, {"topicName": name}, {"queueName": name},
        {"label": name}, {"label": [name, "other"], "state": "DELIVERED"}, {"path": "/full", "host": host},
        {"label": name, "callerIp": "127.0.0.1"}, {"label": name, "fromDate": in_date(started_ms - 1000)},
    ):  # fmt: skip
        found = (await js("logs", {"filter": one}))["logs"]
        assert {entry["messageId"] for entry in found} == {sent["messageId"]}, one
        assert {entry["urlGroup"] for entry in found} == {name}
    by_key = (await js("logs", {"filter": {"flowControlKey": name}}))["logs"]
    assert {entry["messageId"] for entry in by_key} == {flow["messageId"]}
    for nothing in ({"label": name, "state": "FAILED"}, {"label": name, "toDate": started_ms - 60_000}, {"scheduleId": name}):
        assert (await js("logs", {"filter": nothing}))["logs"] == [], nothing


async def test_pages_follow_each_other(js: Js, receiver: Receiver, name: str) -> None:
    for _ in range(3):
        sent = await js("publish", {"url": receiver.url("/a"), "label": name})
        await js.logged(sent["messageId"], "DELIVERED")

    found: list[tuple[str, str]] = []
    cursor, pages = None, 0
    while (cursor or not pages) and pages < 10:
        page = await js("logs", {"count": 4, "filter": {"label": name}, **({"cursor": cursor} if cursor else {})})
        found += [(entry["messageId"], entry["state"]) for entry in page["logs"]]
        cursor, pages = page.get("cursor"), pages + 1
    assert not cursor
    assert (len(found), len(set(found))) == (9, 9)
