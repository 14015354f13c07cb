"""Callbacks, asked for with QStash's Python client: who is told what became of a message."""

from __future__ import annotations

import time

from tests.qstash.callback_body import told_in
from tests.qstash.python_client import Python
from tests.qstash.signed import check
from tests.support.receiver import Answer, Receiver


async def test_a_callback_tells_what_was_answered_and_to_what(client: Python, receiver: Receiver) -> None:
    """Every field that QStash documents, for a message that was delivered."""
    before_ms = int(time.time() * 1000)
    url = receiver.answers("/a", Answer(201, {"X-Answer": "yes"}, b"\x00done\xff"))
    sent = await client.message.publish(
        url=url, body="question", content_type="text/plain", headers={"X-Test": "one"}, method="PUT", retries=2,
        callback=receiver.url("/told"),
    )  # fmt: skip

    arrival = await receiver.first("/told")
    told = told_in(arrival)
    assert (arrival.method, arrival.headers["Content-Type"]) == ("POST", "application/json")
    assert (told["status"], told["body"], told["header"]["x-answer"]) == (201, b"\x00done\xff", "yes")
    assert (told["retried"], told["maxRetries"]) == (0, 2)
    assert (told["sourceMessageId"], told["url"], told["method"]) == (sent.message_id, url, "PUT")
    assert (told["sourceBody"], told["sourceHeader"]["x-test"]) == (b"question", "one")
    assert before_ms - 1000 <= told["createdAt"] <= arrival.at_ms
    assert before_ms - 1000 <= told["notBefore"] <= arrival.at_ms
    assert told["callerIP"] == "127.0.0.1"
    assert arrival.headers["Upstash-Message-Id"] != sent.message_id
    check(arrival)


async def test_each_attempt_is_told(client: Python, receiver: Receiver) -> None:
    """Also those that failed and are tried again."""
    url = receiver.answers("/a", Answer(500), Answer(503), Answer(200))
    await client.message.publish(url=url, retries=3, retry_delay="10", callback=receiver.url("/told"))

    told = [told_in(one) for one in await receiver.wait_for(3, "/told")]
    assert sorted((one["retried"], one["status"]) for one in told) == [(0, 500), (1, 503), (2, 200)]


async def test_the_end_of_all_retries_is_told_once(client: Python, receiver: Receiver) -> None:
    """The failure callback names the dead letter; one that is delivered has none."""
    url, fine = receiver.answers("/a", Answer(400, body=b"wrong")), receiver.url("/fine")
    sent = await client.message.publish(
        url=url, body="question", retries=1, retry_delay="1", failure_callback=receiver.url("/failed")
    )
    await client.message.publish(url=fine, failure_callback=receiver.url("/failed"))

    told = told_in(await receiver.first("/failed"))
    assert (told["status"], told["body"], told["sourceBody"]) == (400, b"wrong", b"question")
    assert (told["retried"], told["maxRetries"], told["sourceMessageId"]) == (1, 1, sent.message_id)
    assert (await client.dlq.get(told["dlqId"])).message_id == sent.message_id
    await receiver.wait_for(1, "/fine")
    assert len(receiver.at("/failed")) == 1


async def test_both_callbacks_may_be_asked_for(client: Python, receiver: Receiver) -> None:
    url = receiver.answers("/a", Answer(500))
    await client.message.publish(url=url, retries=0, callback=receiver.url("/told"), failure_callback=receiver.url("/failed"))

    assert told_in(await receiver.first("/told"))["status"] == 500
    assert told_in(await receiver.first("/failed"))["status"] == 500


async def test_a_callback_has_its_own_method_headers_and_retries(client: Python, receiver: Receiver) -> None:
    """It is a message like any other: here it fails once, and comes again with the same id."""
    told_url = receiver.answers("/told", Answer(500), Answer(200))
    await client.message.publish(
        url=receiver.url("/a"),
        retries=0,
        callback=told_url,
        callback_headers={"Method": "PUT", "Retries": "1", "Retry-Delay": "1", "Forward-X-Told": "yes"},
    )

    first, second = await receiver.wait_for(2, "/told")
    assert [one.method for one in (first, second)] == ["PUT", "PUT"]
    assert (first.headers["X-Told"], second.headers["Upstash-Retried"]) == ("yes", "1")
    assert first.headers["Upstash-Message-Id"] == second.headers["Upstash-Message-Id"]


async def test_a_failure_callback_has_its_own_settings(client: Python, receiver: Receiver) -> None:
    failed_url = receiver.answers("/failed", Answer(500))
    await client.message.publish(
        url=receiver.answers("/a", Answer(500)),
        retries=0,
        failure_callback=failed_url,
        failure_callback_headers={"Retries": "0", "Forward-X-Failed": "yes"},
    )

    arrival = await receiver.first("/failed")
    assert arrival.headers["X-Failed"] == "yes"
    letters = await client.dead(2)
    assert {letter.url for letter in letters} == {receiver.url("/a"), failed_url}
    assert len(receiver.at("/failed")) == 1


async def test_no_answer_at_all_is_told_as_a_failure(client: Python, receiver: Receiver) -> None:
    """Nobody listens on port 1."""
    await client.message.publish(url="http://127.0.0.1:1/", retries=0, failure_callback=receiver.url("/failed"))

    told = told_in(await receiver.first("/failed"))
    assert not 200 <= told["status"] < 300
    assert told["url"] == "http://127.0.0.1:1/"
