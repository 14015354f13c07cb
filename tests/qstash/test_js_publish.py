"""Publishing with QStash's client for JavaScript: what is asked for is what arrives."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.qstash.callback_body import told_in
from tests.qstash.js_client import Js, JsError, in_bytes
from tests.qstash.signed import check
from tests.qstash.whole import CURRENT_KEY, NEXT_KEY
from tests.support.receiver import Answer, Receiver

BINARY = bytes(range(256))


async def test_a_message_arrives_signed_with_what_it_carries(js: Js, receiver: Receiver) -> None:
    """Body, media type and forwarded headers are the sender's own; the client's own ones are not sent on."""
    sent = await js(
        "publish",
        {
            "url": receiver.url("/a?x=1"),
            "body": "grüße",
            "headers": {"Content-Type": "text/markdown", "X-Test": "one", "Authorization": "Bearer own"},
            "method": "PATCH",
        },
    )

    arrival = await receiver.first("/a")
    assert (arrival.method, arrival.body, arrival.query) == ("PATCH", "grüße".encode(), {"x": "1"})
    assert arrival.headers["Content-Type"].startswith("text/markdown")
    assert (arrival.headers["X-Test"], arrival.headers["Authorization"]) == ("one", "Bearer own")
    assert (arrival.headers["Upstash-Message-Id"], arrival.headers["Upstash-Retried"]) == (sent["messageId"], "0")
    assert not [name for name in arrival.headers if name.lower().startswith("upstash-telemetry")]
    check(arrival)


async def test_json_is_sent_as_json_and_bytes_as_bytes(js: Js, receiver: Receiver) -> None:
    await js("publishJSON", {"url": receiver.url("/json"), "body": {"hello": ["world", 1, None]}})
    await js("publish", {"url": receiver.url("/bytes"), "body": in_bytes(BINARY)})

    arrival = await receiver.first("/json")
    assert (arrival.json(), arrival.headers["Content-Type"]) == ({"hello": ["world", 1, None]}, "application/json")
    check(arrival)
    assert (await receiver.first("/bytes")).body == BINARY


async def test_what_arrives_is_verified_by_the_clients_own_receiver(js: Js, receiver: Receiver) -> None:
    """With the current key, and with it as the next one; not with another body, URL or key."""
    await js("publishJSON", {"url": receiver.url("/a"), "body": {"hello": "world"}})
    arrival = await receiver.first("/a")
    request = {"signature": arrival.headers["Upstash-Signature"], "body": arrival.body.decode(), "url": arrival.url}
    keys = {"currentSigningKey": CURRENT_KEY, "nextSigningKey": NEXT_KEY}
    later = {"currentSigningKey": "some-later-key-of-24-letters", "nextSigningKey": CURRENT_KEY}
    wrong = {"currentSigningKey": "another-key-of-24-letters", "nextSigningKey": "yet-another-of-24-letters"}

    assert await js("verify", keys, request) is True
    assert await js("verify", later, request) is True
    for believed, changed in (({**keys}, {"body": "{}"}), ({**keys}, {"url": "http://127.0.0.1/"}), (wrong, {})):
        with pytest.raises(JsError, match="SignatureError"):
            await js("verify", believed, {**request, **changed})


@pytest.mark.parametrize("asked", [{"delay": 1}, {"delay": "1s"}, {}])
async def test_a_message_is_not_sent_before_its_time(js: Js, receiver: Receiver, asked: dict[str, Any]) -> None:
    now_s = time.time()
    not_before = {} if asked else {"notBefore": int(now_s) + 2}
    sent = await js("publish", {"url": receiver.url("/a"), "body": "later", **asked, **not_before})
    told = await js("messages.get", sent["messageId"])

    arrival = await receiver.first("/a")
    assert told["notBefore"] == not_before.get("notBefore", told["notBefore"] / 1000) * 1000
    assert now_s * 1000 + 990 <= told["notBefore"] <= arrival.at_ms <= told["notBefore"] + 2000


async def test_failures_are_tried_again_as_often_as_asked(js: Js, receiver: Receiver) -> None:
    url = receiver.answers("/a", Answer(500, body=b"broken"))
    sent = await js("publish", {"url": url, "body": "x", "retries": 2, "retryDelay": "10 * (1 + retried)"})

    (letter,) = await js.dead(1)
    assert [one.headers["Upstash-Retried"] for one in receiver.at("/a")] == ["0", "1", "2"]
    assert (letter["messageId"], letter["maxRetries"], letter["retryDelayExpression"]) == (
        sent["messageId"], 2, "10 * (1 + retried)",
    )  # fmt: skip


async def test_ends_that_say_so_are_not_retried_or_cost_no_attempt(js: Js, receiver: Receiver) -> None:
    """489 with QStash's header is the end; 429 with ``Retry-After`` comes again although there is no retry."""
    never = receiver.answers("/never", Answer(489, {"Upstash-NonRetryable-Error": "true"}))
    busy = receiver.answers("/busy", Answer(429, {"Retry-After": "1"}), Answer(200))
    await js("publish", {"url": never, "retries": 5, "retryDelay": "1"})
    await js("publish", {"url": busy, "retries": 0})

    first, second = await receiver.wait_for(2, "/busy")
    assert second.at_ms - first.at_ms >= 990
    (letter,) = await js.dead(1)
    assert (letter["url"], letter["responseStatus"], len(receiver.at("/never"))) == (never, 489, 1)


async def test_a_repeat_is_not_sent(js: Js, receiver: Receiver, name: str) -> None:
    sent = [
        await js("publish", {"url": receiver.url("/a"), "body": body, **options})
        for body, options in (
            ("1", {"deduplicationId": name}), ("2", {"deduplicationId": name}),
            (name, {"contentBasedDeduplication": True}), (name, {"contentBasedDeduplication": True}),
        )
    ]  # fmt: skip

    assert [one.get("deduplicated", False) for one in sent] == [False, True, False, True]
    assert (sent[0]["messageId"], sent[2]["messageId"]) == (sent[1]["messageId"], sent[3]["messageId"])


async def test_callbacks_tell_what_became_of_a_message(js: Js, receiver: Receiver) -> None:
    url = receiver.answers("/a", Answer(500, body=b"broken"))
    headers = {"Upstash-Callback-Forward-X-Told": "yes", "Upstash-Failure-Callback-Method": "PUT"}
    sent = await js(
        "publishJSON",
        {
            "url": url, "body": {"a": 1}, "retries": 1, "retryDelay": "1", "headers": headers, "timeout": "10s",
            "callback": receiver.url("/told"), "failureCallback": receiver.url("/failed"),
        },
    )  # fmt: skip

    told, failed = await receiver.wait_for(2, "/told"), await receiver.first("/failed")
    assert sorted((told_in(one)["retried"], told_in(one)["status"]) for one in told) == [(0, 500), (1, 500)]
    assert told[0].headers["X-Told"] == "yes"
    assert failed.method == "PUT"
    letter = (await js("dlq.listMessages", {"dlqIds": [told_in(failed)["dlqId"]]}))["messages"]
    assert [one["messageId"] for one in letter] == [sent["messageId"]]
    for arrival in (*told, failed):
        check(arrival)


async def test_a_batch_is_sent_as_its_messages_say(js: Js, receiver: Receiver, name: str) -> None:
    """To a URL, a URL group and a queue; answers come in the order of the messages."""
    await js("urlGroups.addEndpoints", {"name": name, "endpoints": [{"url": receiver.url("/g1")}, {"url": receiver.url("/g2")}]})
    one, group, queued = await js(
        "batch",
        [
            {"url": receiver.url("/a"), "body": "one", "headers": {"X-Test": "1"}, "method": "PUT"},
            {"urlGroup": name, "body": "two"},
            {"url": receiver.url("/q"), "queueName": name, "body": "three"},
        ],
    )
    (json_one,) = await js("batchJSON", [{"url": receiver.url("/json"), "body": {"number": 1}, "headers": {"X-Test": "2"}}])

    for path, sent in (("/a", one), ("/q", queued), ("/json", json_one)):
        assert (await receiver.first(path)).headers["Upstash-Message-Id"] == sent["messageId"]
    assert {sent["url"] for sent in group} == {receiver.url("/g1"), receiver.url("/g2")}
    assert (receiver.at("/a")[0].method, receiver.at("/a")[0].headers["X-Test"]) == ("PUT", "1")
    assert (receiver.at("/json")[0].json(), receiver.at("/json")[0].headers["X-Test"]) == ({"number": 1}, "2")
    await receiver.wait_for(1, "/g1")
    await receiver.wait_for(1, "/g2")


async def test_what_is_wrong_is_refused_with_a_reason(js: Js) -> None:
    """In QStash's form: its client shows the body, which has one field."""
    url = "http://127.0.0.1:9/"
    for wrong in ({"url": "http:///path"}, {"url": url, "delay": "soon"}, {"url": url, "retryDelay": "process.exit()"}):
        with pytest.raises(JsError, match=r'QstashError \(400\): \{"error":".{6}'):
            await js("publish", wrong)
    with pytest.raises(JsError, match=r"(?i)QstashError \(4\d\d\).*llm"):
        await js("publish", {"urlGroup": "api/llm", "body": "{}"})
