"""What QStash's Python client raises where something is refused: its own errors, with a text that says why."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from qstash.errors import QStashError

from tests.qstash.python_client import Python
from tests.qstash.whole import Served
from tests.support.receiver import Receiver

Call = Callable[[Python], Awaitable[Any]]
URL = "http://127.0.0.1:9/"
REFUSED: dict[str, Call] = {
    "a URL without a host": lambda client: client.message.publish(url="http:///path"),
    "another scheme": lambda client: client.message.publish(url="ftp://127.0.0.1/"),
    "a password in a URL": lambda client: client.message.publish(url="http://user:password@127.0.0.1/"),
    "a delay that is none": lambda client: client.message.publish(url=URL, delay="soon"),
    "a timeout that is none": lambda client: client.message.publish(url=URL, timeout="long"),
    "retries below none": lambda client: client.message.publish(url=URL, retries=-1),
    "an expression that is none": lambda client: client.message.publish(url=URL, retry_delay="__import__('os')"),
    "a callback that is no URL": lambda client: client.message.publish(url=URL, callback="nowhere"),
    "a failure callback that is no URL": lambda client: client.message.publish(url=URL, failure_callback="nowhere"),
    "a flow control that says nothing": lambda client: client.message.publish(url=URL, flow_control={"key": "k", "rate": -1}),
    "a queue's name with a blank": lambda client: client.queue.upsert("a b"),
    "no parallelism": lambda client: client.queue.upsert("q", parallelism=0),
    "a schedule's id with a slash": lambda client: client.schedule.create(destination=URL, cron="0 0 * * *", schedule_id="a/b"),
    "a group's endpoint that is no URL": lambda client: client.url_group.upsert_endpoints("g", [{"url": "nowhere"}]),
}
MISSING: dict[str, Call] = {
    "message": lambda client: client.message.get("msg_none"),
    "schedule": lambda client: client.schedule.get("none"),
    "group": lambda client: client.url_group.get("none"),
    "queue": lambda client: client.queue.get("none"),
    "letter": lambda client: client.dlq.get("none"),
}


def told(error: QStashError) -> tuple[int, str]:
    """Status and text: the body is JSON with the one field that QStash has."""
    status, _, body = str(error).removeprefix("Request failed with status: ").partition(", body: ")
    return int(status), str(json.loads(body)["error"])


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
async def test_what_is_wrong_is_refused_with_a_reason(client: Python, call: Call) -> None:
    with pytest.raises(QStashError) as raised:
        await call(client)

    status, text = told(raised.value)
    assert (status, len(text) > 5) == (400, True), text
    assert await client.message.cancel_all() == 0


@pytest.mark.parametrize("call", MISSING.values(), ids=MISSING)
async def test_what_is_not_there_is_not_found(client: Python, call: Call) -> None:
    with pytest.raises(QStashError) as raised:
        await call(client)

    assert told(raised.value)[0] == 404


async def test_models_are_no_destination(client: Python) -> None:
    """The one part of QStash that there is not. Refused with words, where it could be taken for a URL group's name."""
    with pytest.raises(QStashError, match=r"(?i)llm"):
        await client.message.publish_json(url_group="api/llm", body={}, callback=URL)


async def test_one_that_is_wrong_refuses_the_batch(client: Python, receiver: Receiver) -> None:
    """Nothing of it is sent, and the text names what is wrong."""
    with pytest.raises(QStashError) as raised:
        await client.message.batch([{"url": receiver.url("/a"), "delay": "1h"}, {"url": receiver.url("/a"), "delay": "soon"}])

    assert told(raised.value)[0] == 400
    assert await client.message.cancel_all() == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_wrong_token_is_refused(emptied: Served, kind: str) -> None:
    stranger = Python(kind, Served(emptied.url, "mss_wrong"))
    with pytest.raises(QStashError) as raised:
        await stranger.message.publish(url=URL)
    await stranger.close()

    assert told(raised.value)[0] == 401
