"""Messages in batches, looked at and cancelled, with QStash's Python client."""

from __future__ import annotations

from typing import Any

import pytest
from qstash.errors import QStashError
from qstash.log import LogState

from tests.qstash.python_client import Python
from tests.qstash.signed import check
from tests.support.receiver import Answer, Receiver


async def test_a_batch_is_sent_as_its_messages_say(client: Python, receiver: Receiver, name: str) -> None:
    """To URLs, a URL group and a queue, each with its own settings; answers come in the order of the messages."""
    await client.url_group.upsert_endpoints(name, [{"url": receiver.url("/g1")}, {"url": receiver.url("/g2")}])
    told = await client.message.batch(
        [
            {"url": receiver.url("/a"), "body": "one", "headers": {"X-Test": "1"}, "content_type": "text/plain", "method": "PUT"},
            {"url_group": name, "body": "two"},
            {"url": receiver.url("/q"), "queue": name, "body": "three"},
            {"url": receiver.url("/later"), "body": "four", "delay": "1h", "label": name},
        ]
    )

    one, group, queued, later = told
    arrival = await receiver.first("/a")
    assert (arrival.method, arrival.body, arrival.headers["X-Test"]) == ("PUT", b"one", "1")
    assert arrival.headers["Upstash-Message-Id"] == one.message_id
    check(arrival)
    assert {sent.url: sent.message_id for sent in group} == {
        receiver.url(path): (await receiver.first(path)).headers["Upstash-Message-Id"] for path in ("/g1", "/g2")
    }
    assert (await receiver.first("/q")).headers["Upstash-Message-Id"] == queued.message_id
    assert (await client.message.get(later.message_id)).label == name
    assert receiver.at("/later") == []


async def test_a_json_batch_is_sent_as_json(client: Python, receiver: Receiver) -> None:
    await client.message.batch_json([{"url": receiver.url(f"/{number}"), "body": {"number": number}} for number in range(3)])

    for number in range(3):
        arrival = await receiver.first(f"/{number}")
        assert (arrival.json(), arrival.headers["Content-Type"]) == ({"number": number}, "application/json")


async def test_a_batch_with_a_repeat_in_it_sends_it_once(client: Python, receiver: Receiver, name: str) -> None:
    one, two = await client.message.batch(
        [{"url": receiver.url("/a"), "body": body, "deduplication_id": name} for body in ("1", "2")]
    )

    assert (one.deduplicated, two.deduplicated, two.message_id) == (False, True, one.message_id)


async def test_a_message_that_waits_is_shown_with_all_that_it_carries(client: Python, receiver: Receiver, name: str) -> None:
    options: dict[str, Any] = {
        "headers": {"X-Test": "one"}, "method": "PUT", "retries": 7, "retry_delay": "1000", "delay": "1h",
        "callback": receiver.url("/told"), "failure_callback": receiver.url("/failed"), "label": name,
        "flow_control": {"key": name, "parallelism": 3, "rate": 5, "period": "2m"},
    }  # fmt: skip
    sent = await client.message.publish(url=receiver.url("/a"), body="grüße", **options)

    told = await client.message.get(sent.message_id)

    assert (told.message_id, told.url, told.body, told.method) == (sent.message_id, receiver.url("/a"), "grüße", "PUT")
    assert {key.lower(): value for key, value in told.headers.items()}["x-test"] == ["one"]
    assert (told.max_retries, told.retry_delay_expression, told.label) == (7, "1000", name)
    assert (told.callback, told.failure_callback) == (receiver.url("/told"), receiver.url("/failed"))
    assert 3_599_000 <= told.not_before - told.created_at <= 3_601_000
    flow = told.flow_control
    assert (flow.key, flow.parallelism, flow.rate, flow.period) == (name, 3, 5, 120)
    assert (told.caller_ip, told.queue, told.url_group, told.schedule_id) == ("127.0.0.1", None, None, None)


async def test_a_body_that_is_no_text_is_shown_in_base64(client: Python, receiver: Receiver) -> None:
    sent = await client.message.publish(url=receiver.url("/a"), body=b"\xff\xfe", delay="1h")

    told = await client.message.get(sent.message_id)

    assert (told.body or None, told.body_base64) == (None, "//4=")


async def test_a_cancelled_message_is_not_sent(client: Python, receiver: Receiver) -> None:
    """It is gone, and its log says why."""
    sent = await client.message.publish(url=receiver.url("/a"), delay="1h")

    await client.message.cancel(sent.message_id)

    await client.logged(sent.message_id, LogState.CANCELED)
    with pytest.raises(QStashError, match="404"):
        await client.message.get(sent.message_id)
    with pytest.raises(QStashError, match="404"):
        await client.message.cancel(sent.message_id)


async def test_some_are_cancelled_by_their_ids_and_the_rest_with_all(client: Python, receiver: Receiver) -> None:
    """The answer counts them; ids of nothing count as nothing."""
    url = receiver.url("/a")
    one, two, three, four = [(await client.message.publish(url=url, delay="1h")).message_id for _ in range(4)]

    assert await client.message.cancel_many([one, two, "msg_none"]) == 2
    assert (await client.message.get(three)).message_id == three
    assert await client.message.cancel_all() == 2
    assert await client.message.cancel_all() == 0
    with pytest.raises(QStashError, match="404"):
        await client.message.get(four)


async def test_a_message_that_waits_for_its_retry_can_be_cancelled(client: Python, receiver: Receiver) -> None:
    sent = await client.message.publish(url=receiver.answers("/a", Answer(500)), retry_delay="3600000")
    await client.logged(sent.message_id, LogState.RETRY)

    await client.message.cancel(sent.message_id)

    assert (await client.dlq.list()).messages == []
    assert len(receiver.at("/a")) == 1
