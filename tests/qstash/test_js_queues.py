"""Queues and URL groups with QStash's client for JavaScript."""

from __future__ import annotations

import pytest

from tests.qstash.js_client import Js, JsError
from tests.support.receiver import Answer, Receiver


async def test_a_queue_is_made_changed_listed_and_deleted(js: Js, name: str) -> None:
    await js.queue(name, "upsert", {"parallelism": 3})

    queue = await js.queue(name, "get")
    assert (queue["name"], queue["parallelism"], queue["paused"], queue["lag"]) == (name, 3, False, 0)
    await js.queue(name, "pause")
    assert (await js.queue(name, "get"))["paused"] is True
    await js.queue(name, "resume")
    assert [(one["parallelism"], one["paused"]) for one in await js.queue(name, "list") if one["name"] == name] == [(3, False)]

    await js.queue(name, "delete")
    with pytest.raises(JsError, match=r"QstashError \(404\)"):
        await js.queue(name, "get")


async def test_messages_come_in_order_also_when_the_first_fails(js: Js, receiver: Receiver, name: str) -> None:
    """Text and JSON, as a queue takes them."""
    url = receiver.answers("/a", Answer(500), Answer(200))
    await js.queue(name, "enqueue", {"url": url, "body": "0", "retryDelay": "100", "label": "first"})
    for number in range(1, 4):
        await js.queue(name, "enqueueJSON", {"url": url, "body": {"number": number}})

    arrivals = await receiver.wait_for(5, "/a")
    assert [one.body for one in arrivals] == [b"0", b"0", b'{"number":1}', b'{"number":2}', b'{"number":3}']
    assert receiver.most_at_once == 1


async def test_a_paused_queue_sends_nothing_before_it_is_resumed(js: Js, receiver: Receiver, name: str) -> None:
    await js.queue(name, "upsert", {"parallelism": 1, "paused": True})
    await js.queue(name, "enqueue", {"url": receiver.url("/a"), "body": "x"})
    await js("publish", {"url": receiver.url("/beside")})
    await receiver.wait_for(1, "/beside")

    assert receiver.at("/a") == []
    await js.queue(name, "resume")
    await receiver.wait_for(1, "/a")


async def test_a_url_group_is_made_changed_listed_and_deleted(js: Js, name: str) -> None:
    """Also by the older name of it."""
    one, two = "http://127.0.0.1:9/1", "http://127.0.0.1:9/2"
    await js("urlGroups.addEndpoints", {"name": name, "endpoints": [{"url": one, "name": "first"}, {"url": two}]})

    group = await js("topics.get", name)
    assert [(end["url"], end.get("name")) for end in group["endpoints"]] == [(one, "first"), (two, None)]
    assert 0 < group["createdAt"] <= group["updatedAt"]
    await js("urlGroups.removeEndpoints", {"name": name, "endpoints": [{"name": "first"}]})
    assert [end["url"] for end in (await js("urlGroups.get", name))["endpoints"]] == [two]
    assert name in [one["name"] for one in await js("urlGroups.list")]

    await js("urlGroups.delete", name)
    with pytest.raises(JsError, match=r"QstashError \(404\)"):
        await js("urlGroups.get", name)


async def test_each_endpoint_of_a_group_gets_its_own_message(js: Js, receiver: Receiver, name: str) -> None:
    await js("urlGroups.addEndpoints", {"name": name, "endpoints": [{"url": receiver.url("/a")}, {"url": receiver.url("/b")}]})

    sent = await js("publishJSON", {"urlGroup": name, "body": {"for": "all"}})
    queued = await js.queue(name, "enqueueJSON", {"urlGroup": name, "body": {"in": "turn"}})

    assert {one["url"] for one in sent} == {one["url"] for one in queued} == {receiver.url("/a"), receiver.url("/b")}
    for path in ("/a", "/b"):
        bodies = [one.json() for one in await receiver.wait_for(2, path)]
        assert {"for": "all"} in bodies
        assert {"in": "turn"} in bodies
