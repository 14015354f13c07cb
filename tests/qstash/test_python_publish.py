"""Publishing to a URL with QStash's Python client: what is asked for is what arrives."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from qstash.log import LogState

from tests.qstash.python_client import Python
from tests.qstash.signed import check
from tests.support.receiver import Answer, Receiver

BINARY = bytes(range(256))


async def test_a_message_arrives_signed_with_what_it_carries(client: Python, receiver: Receiver) -> None:
    """Body, media type and forwarded headers are the sender's own; QStash's headers name the message and its attempt."""
    sent = await client.message.publish(
        url=receiver.url("/a?x=1"),
        body="grüße",
        content_type="text/plain",
        headers={"X-Test": "one", "Authorization": "Bearer own"},
    )

    arrival = await receiver.first("/a")
    assert (arrival.method, arrival.body, arrival.query) == ("POST", "grüße".encode(), {"x": "1"})
    assert arrival.headers["Content-Type"].startswith("text/plain")
    assert (arrival.headers["X-Test"], arrival.headers["Authorization"]) == ("one", "Bearer own")
    assert (arrival.headers["Upstash-Message-Id"], arrival.headers["Upstash-Retried"]) == (sent.message_id, "0")
    assert sent.deduplicated is False
    check(arrival)


async def test_json_is_sent_as_json(client: Python, receiver: Receiver) -> None:
    await client.message.publish_json(url=receiver.url("/a"), body={"hello": ["world", 1, None]})

    arrival = await receiver.first("/a")
    assert arrival.json() == {"hello": ["world", 1, None]}
    assert arrival.headers["Content-Type"] == "application/json"
    check(arrival)


async def test_bytes_arrive_byte_for_byte(client: Python, receiver: Receiver) -> None:
    await client.message.publish(url=receiver.url("/a"), body=BINARY, content_type="application/octet-stream")

    assert (await receiver.first("/a")).body == BINARY


async def test_nothing_arrives_as_nothing(client: Python, receiver: Receiver) -> None:
    """A message without a body is a request without one."""
    await client.message.publish(url=receiver.url("/a"))

    arrival = await receiver.first("/a")
    assert arrival.body == b""
    check(arrival)


async def test_any_method_is_used(client: Python, receiver: Receiver) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        await client.message.publish(url=receiver.url(f"/{method}"), body="x", method=method)

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        arrival = await receiver.first(f"/{method}")
        assert (arrival.method, arrival.body) == (method, b"x")


@pytest.mark.parametrize("asked", [{"delay": 1}, {"delay": "1s"}, {}])
async def test_a_message_is_not_sent_before_its_time(client: Python, receiver: Receiver, asked: dict[str, Any]) -> None:
    """A delay in seconds or as a text, or else a time: a whole second, and it is told while it waits."""
    now_s = time.time()
    not_before = {} if asked else {"not_before": int(now_s) + 2}
    sent = await client.message.publish(url=receiver.url("/a"), body="later", **asked, **not_before)
    told = await client.message.get(sent.message_id)

    arrival = await receiver.first("/a")
    due_ms = not_before["not_before"] * 1000 if not_before else told.not_before
    assert told.not_before == pytest.approx(due_ms)
    assert due_ms <= arrival.at_ms <= due_ms + 2000
    assert due_ms >= now_s * 1000 + 990


async def test_failures_are_tried_again_as_often_as_asked(client: Python, receiver: Receiver) -> None:
    """Two retries are three attempts, each with its number; then it is in the DLQ."""
    url = receiver.answers("/a", Answer(500, body=b"broken"))
    sent = await client.message.publish(url=url, body="x", retries=2, retry_delay="10 * (1 + retried)")

    letters = await client.dead(1)
    assert [one.headers["Upstash-Retried"] for one in receiver.at("/a")] == ["0", "1", "2"]
    assert {one.headers["Upstash-Message-Id"] for one in receiver.at("/a")} == {sent.message_id}
    for arrival in receiver.at("/a"):
        check(arrival)
    assert (letters[0].message_id, letters[0].max_retries, letters[0].response_status) == (sent.message_id, 2, 500)
    assert letters[0].retry_delay_expression == "10 * (1 + retried)"


async def test_without_a_word_there_are_three_retries(client: Python, receiver: Receiver) -> None:
    await client.message.publish(url=receiver.answers("/a", Answer(500)), retry_delay="1")

    await client.dead(1)
    assert len(receiver.at("/a")) == 4


async def test_the_delay_between_retries_is_the_expressions(client: Python, receiver: Receiver) -> None:
    """Milliseconds, reckoned anew for each retry from how many there were."""
    url = receiver.answers("/a", Answer(500), Answer(500), Answer(200))
    await client.message.publish(url=url, retries=2, retry_delay="max(200, pow(2, retried) * 300)")

    first, second, third = (one.at_ms for one in await receiver.wait_for(3, "/a"))
    assert 290 <= second - first <= 1500
    assert 590 <= third - second <= 1800


async def test_an_end_that_asks_for_no_retry_gets_none(client: Python, receiver: Receiver) -> None:
    """489 with ``Upstash-NonRetryable-Error`` goes to the DLQ at once."""
    url = receiver.answers("/a", Answer(489, {"Upstash-NonRetryable-Error": "true"}, b"no"))
    await client.message.publish(url=url, retries=5, retry_delay="1")

    (letter,) = await client.dead(1)
    assert (letter.response_status, letter.response_body) == (489, "no")
    assert len(receiver.at("/a")) == 1


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset", "X-RateLimit-Reset-Requests"])
async def test_an_end_that_is_busy_is_left_alone_as_long_as_it_asks(client: Python, receiver: Receiver, header: str) -> None:
    """429 that says when to come again costs no attempt: there is no retry here, and it is delivered all the same."""
    url = receiver.answers("/a", Answer(429, {header: "1"}), Answer(200))
    await client.message.publish(url=url, retries=0)

    first, second = await receiver.wait_for(2, "/a")
    assert second.at_ms - first.at_ms >= 990
    assert (await client.dlq.list()).messages == []


async def test_an_answer_that_takes_too_long_is_a_failure(client: Python, receiver: Receiver) -> None:
    """``timeout`` is the message's own deadline."""
    url = receiver.answers("/a", Answer(held=True))
    sent = await client.message.publish(url=url, timeout=1, retries=0)

    (letter,) = await client.dead(1)
    assert letter.message_id == sent.message_id


async def test_a_repeat_is_not_sent(client: Python, receiver: Receiver, name: str) -> None:
    """The same deduplication id, or the same content where that is asked for; the answer names the first message."""
    one = await client.message.publish(url=receiver.url("/a"), body="1", deduplication_id=name)
    two = await client.message.publish(url=receiver.url("/a"), body="2", deduplication_id=name)
    three = await client.message.publish(url=receiver.url("/b"), body=name, content_based_deduplication=True)
    four = await client.message.publish(url=receiver.url("/b"), body=name, content_based_deduplication=True)
    five = await client.message.publish(url=receiver.url("/b"), body=f"{name}-other", content_based_deduplication=True)

    assert [one.deduplicated, two.deduplicated, three.deduplicated, four.deduplicated, five.deduplicated] == [
        False, True, False, True, False,
    ]  # fmt: skip
    assert (one.message_id, three.message_id) == (two.message_id, four.message_id)
    await receiver.wait_for(2, "/b")
    await receiver.wait_for(1, "/a")
    assert [arrival.body for arrival in receiver.at("/a")] == [b"1"]
    assert {arrival.body for arrival in receiver.at("/b")} == {name.encode(), f"{name}-other".encode()}


async def test_what_is_to_be_redacted_is_told_nowhere_and_sent_all_the_same(client: Python, receiver: Receiver) -> None:
    """The body and one header; another header is shown."""
    url = receiver.answers("/a", Answer(500))
    headers = {"X-Secret": "hidden-header", "X-Open": "seen"}
    await client.message.publish(
        url=url, body="hidden-body", headers=headers, retries=0, redact={"body": True, "header": ["X-Secret"]}
    )

    (letter,) = await client.dead(1)
    arrival = receiver.at("/a")[0]
    assert (arrival.body, arrival.headers["X-Secret"]) == (b"hidden-body", "hidden-header")
    assert letter.body.startswith("REDACTED:")
    told = {key.lower(): values[0] for key, values in letter.headers.items()}
    assert told["x-secret"].startswith("REDACTED:")
    assert told["x-open"] == "seen"
    logs = await client.logged(letter.message_id, LogState.FAILED)
    assert not any("hidden" in f"{one.headers} {base64.b64decode(one.body_base64 or '')!r}" for one in logs)
