"""The DLQ with QStash's client for JavaScript: found, delivered again and removed, by ids, by filters and all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.qstash.js_client import Js, JsError, in_date
from tests.support.receiver import Answer, Receiver


async def die(js: Js, url: str, count: int, **options: object) -> list[str]:
    """The ids of dead letters to that URL, which all have failed."""
    before = len((await js("dlq.listMessages"))["messages"])
    for _ in range(count):
        await js("publish", {"url": url, "body": "x", "retries": 0, **options})
    return [one["dlqId"] for one in await js.dead(before + count) if one["url"] == url]


async def test_each_filter_finds_its_own(js: Js, receiver: Receiver, name: str) -> None:
    """One letter that has everything, one that has nothing of it; of two values either will do."""
    started_ms = int(time.time() * 1000)
    full, plain = receiver.answers("/full", Answer(418)), receiver.answers("/plain", Answer(500))
    await js("urlGroups.addEndpoints", {"name": name, "endpoints": [{"url": full}]})
    (sent,) = await js.queue(name, "enqueue", {"urlGroup": name, "retries": 0, "label": name})
    await js("publish", {"url": plain, "retries": 0})
    await js.dead(2)
    for one in (
        {"messageId": sent["messageId"]}, {"url": full}, {"url": [full, "http://127.0.0.1/"]}, {"urlGroup": name},
        {"queueName": name}, {"responseStatus": 418}, {"responseStatus": [418, 404]}, {"label": [name, "other"]},
        {"label": name, "callerIp": "127.0.0.1", "fromDate": in_date(started_ms - 1000)},
    ):  # fmt: skip
        found = (await js("dlq.listMessages", {"filter": one}))["messages"]
        assert [letter["messageId"] for letter in found] == [sent["messageId"]], one
        assert found[0]["urlGroup"] == name
    wide: dict[str, Any] = {"fromDate": started_ms - 1000, "toDate": int(time.time() * 1000) + 1000}
    assert len((await js("dlq.listMessages", {"filter": wide}))["messages"]) == 2
    assert len((await js("dlq.listMessages", {"filter": {"responseStatus": [418, 500]}}))["messages"]) == 2
    assert (await js("dlq.listMessages", {"filter": {"label": name, "responseStatus": 500}}))["messages"] == []


async def test_a_letter_by_the_key_of_its_flow_control(js: Js, receiver: Receiver, name: str) -> None:
    url = receiver.answers("/a", Answer(500))
    (letter,) = await die(js, url, 1, flowControl={"key": name, "parallelism": 1})
    await die(js, receiver.answers("/b", Answer(500)), 1)

    found = (await js("dlq.listMessages", {"filter": {"flowControlKey": name}}))["messages"]

    assert [(one["dlqId"], one["flowControlKey"]) for one in found] == [(letter, name)]


async def test_pages_follow_each_other(js: Js, receiver: Receiver) -> None:
    ids = await die(js, receiver.answers("/a", Answer(500)), 5)

    found: list[str] = []
    cursor = None
    for _ in range(3):
        page = await js("dlq.listMessages", {"count": 2, **({"cursor": cursor} if cursor else {})})
        found += [letter["dlqId"] for letter in page["messages"]]
        cursor = page.get("cursor")
    assert not cursor
    assert sorted(found) == sorted(ids)


async def test_letters_are_deleted_in_every_way_the_client_has(js: Js, receiver: Receiver, name: str) -> None:
    url, labelled = receiver.answers("/a", Answer(500)), receiver.answers("/b", Answer(500))
    ids = await die(js, url, 6)
    await die(js, labelled, 1, label=name)

    assert (await js("dlq.delete", ids[0]))["deleted"] == 1
    assert (await js("dlq.delete", [ids[1], "none-0-0"]))["deleted"] == 1
    assert (await js("dlq.delete", {"dlqIds": [ids[2]]}))["deleted"] == 1
    assert (await js("dlq.deleteMany", {"dlqIds": [ids[3]]}))["deleted"] == 1
    assert (await js("dlq.delete", {"filter": {"label": name}}))["deleted"] == 1
    assert len((await js("dlq.listMessages"))["messages"]) == 2
    first = await js("dlq.delete", {"all": True, "count": 1})
    second = await js("dlq.delete", {"all": True, "count": 100, "cursor": first["cursor"]})
    assert (first["deleted"], second["deleted"]) == (1, 1)
    assert (await js("dlq.listMessages"))["messages"] == []
    with pytest.raises(JsError, match=r"QstashError \(404\)"):
        await js("dlq.delete", ids[0])


async def test_letters_are_delivered_again_in_every_way_the_client_has(js: Js, receiver: Receiver, name: str) -> None:
    """One by one, by a filter, and all; they leave the DLQ and arrive once more, with all that they carried."""
    ids = await die(js, receiver.answers("/a", *[Answer(500)] * 3, Answer(200)), 3, headers={"X-Test": "one"})
    await die(js, receiver.answers("/b", Answer(500), Answer(200)), 1, label=name)
    await die(js, receiver.answers("/c", *[Answer(500)] * 2, Answer(200)), 2)

    for told in (
        await js("dlq.retry", ids[0]), await js("dlq.retry", [ids[1]]), await js("dlq.retry", {"dlqIds": [ids[2]]}),
        await js("dlq.retry", {"filter": {"label": name}}),
    ):  # fmt: skip
        (response,) = told["responses"]
        assert response["messageId"]
    assert len((await js("dlq.retry", {"all": True}))["responses"]) == 2

    arrivals = await receiver.wait_for(6, "/a")
    assert {one.headers["X-Test"] for one in arrivals} == {"one"}
    assert {one.headers["Upstash-Retried"] for one in arrivals} == {"0"}
    await receiver.wait_for(2, "/b")
    await receiver.wait_for(4, "/c")
    assert (await js("dlq.listMessages"))["messages"] == []
    with pytest.raises(JsError, match=r"QstashError \(404\)"):
        await js("dlq.retry", "none-0-0")
