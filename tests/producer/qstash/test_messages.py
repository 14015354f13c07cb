"""``/v2/messages``: what is shown and cancelled, and what is not any more."""

from __future__ import annotations

import time
from typing import Any

import pytest
from qstash.errors import QStashError

from shared.record import Options, Webhook
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client
from tests.producer.qstash.webhooks import Webhooks
from tests.store.stage import id_of

URL = "https://example.com:8443/hook"
pytestmark = pytest.mark.leaves("due:", "index", "stream", "labels", "finished", "flow:webhook:", "dead", "errors", "webhooks")


async def later(api: Api, destination: str = URL, **headers: str) -> str:
    """The id of a message that waits for an hour; ``_`` stands for the hyphen."""
    named = {f"Upstash-{name.replace('_', '-')}": value for name, value in {"Delay": "1h", **headers}.items()}
    answer = await api.post(f"/v2/publish/{destination}", data="grüße".encode(), headers={"Content-Type": "text/x", **named})
    return str(answer.json["messageId"])


async def test_a_waiting_message_is_shown_with_all_that_it_carries(client: Client, api: Api) -> None:
    """As the official client reads it."""
    before_ms = int(time.time() * 1000)
    message_id = await later(
        api, Method="PUT", Retries="7", Retry_Delay="1000", Label="a,b", Forward_X="1", Callback="https://example.com/told",
        Callback_Forward_Y="2", Flow_Control_Key="tenant", Flow_Control_Value="parallelism=3, rate=5, period=2m", Timeout="30s",
    )  # fmt: skip

    told = await client.call(lambda qstash: qstash.message.get(message_id))

    assert (told.message_id, told.url, told.body, told.method, told.label) == (message_id, URL, "grüße", "PUT", "a")
    assert told.headers == {"Content-Type": ["text/x"], "X": ["1"]}
    assert (told.callback, told.callback_headers) == ("https://example.com/told", {"Y": ["2"]})
    assert (told.max_retries, told.retry_delay_expression, told.caller_ip) == (7, "1000", "127.0.0.1")
    flow = told.flow_control
    assert flow is not None
    assert (flow.key, flow.parallelism, flow.rate, flow.period) == ("tenant", 3, 5, 120)
    assert before_ms - 1_000 <= told.created_at <= told.not_before - 3_600_000 + 1
    assert (told.queue, told.url_group, told.endpoint, told.schedule_id, told.failure_callback) == (None,) * 5


async def test_what_is_redacted_is_not_shown(api: Api) -> None:
    """Its hash is."""
    told = (await api.get(f"/v2/messages/{await later(api, Forward_X='secret', Redact_Fields='body, headers')}")).json

    assert told["body"].startswith("REDACTED:")
    assert told["header"]["X"][0].startswith("REDACTED:")


async def test_a_message_is_cancelled_once(client: Client, api: Api) -> None:
    """Then it is not there any more, for anything: what was cancelled before is none that a number counts."""
    one, two = await later(api), await later(api)

    answer = await api.call("DELETE", f"/v2/messages/{one}")

    assert (answer.status, answer.json["cancelled"]) == (202, 1)
    for method in ("GET", "DELETE"):
        assert (await api.call(method, f"/v2/messages/{one}")).status == 404
    assert await client.call(lambda qstash: qstash.message.cancel_many([one, two, "msg_none", "echo-0-0"])) == 1
    assert await client.call(lambda qstash: qstash.message.cancel_many([one, two])) == 0
    assert await client.call(lambda qstash: qstash.message.cancel_all()) == 0


async def test_what_is_due_and_waits_for_a_worker_is_cancelled_too(api: Api, webhooks: Webhooks) -> None:
    """What a worker has is not: 409 of one, and no part of the number of many."""
    await webhooks.add(3, Options(webhook=Webhook(url=URL)))
    assert await webhooks.let_through() == 3
    (held, *_) = [id_of(entry) for entry in await webhooks.read()]
    (ready,) = await webhooks.add(1, Options(webhook=Webhook(url=URL)))
    await webhooks.let_through()

    assert (await api.call("DELETE", f"/v2/messages/{held}")).status == 409
    assert (await api.get(f"/v2/messages/{held}")).status == 200
    assert (await api.call("DELETE", "/v2/messages")).json == {"cancelled": 1}
    assert (await api.get(f"/v2/messages/{ready}")).status == 404


async def test_a_dead_letter_is_in_the_dlq_and_nowhere_else(api: Api, webhooks: Webhooks) -> None:
    """As with QStash."""
    (message_id,) = await webhooks.bury(1, Options(webhook=Webhook(url=URL)))

    for method in ("GET", "DELETE"):
        assert (await api.call(method, f"/v2/messages/{message_id}")).status == 404
    assert (await api.get(f"/v2/dlq/{message_id}")).status == 200


async def test_messages_of_other_topics_are_none_of_these(client: Client, api: Api) -> None:
    """Neither shown, nor cancelled with all."""
    other = (await api.accepted("/messages", {"topic": "work", "delay": "1h"}))["id"]

    with pytest.raises(QStashError, match="404"):
        await client.call(lambda qstash: qstash.message.get(other))
    assert await client.call(lambda qstash: qstash.message.cancel_many([other])) == 0
    assert await client.call(lambda qstash: qstash.message.cancel_all()) == 0
    assert (await api.message(other))["status"] == "scheduled"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("label=a", 1), ("label=a,none", 1), ("label=a&label=b", 2), ("label=none", 0), ("flowControlKey=tenant", 1),
        ("url=https%3A%2F%2Fexample.com%3A8443%2Fhook", 2), ("host=example.com", 2), ("host=example.com:8443", 2),
        ("host=example.org", 1), ("path=/hook", 2), ("path=/other", 1), ("queueName=mail", 1), ("callerIp=127.0.0.1", 3),
        ("callerIP=127.0.0.1&label=a", 1), ("callerIp=192.0.2.1", 0), ("scheduleId=none", 0), ("topicName=none", 0),
        ("fromDate=0", 3), ("toDate=1", 0), ("label=a&path=/other", 0), ("count=1", 3), ("", 3), ("label=a&cursor=&count=9", 1),
    ],
)  # fmt: skip
async def test_filters_say_which_are_cancelled(api: Api, query: str, count: int) -> None:
    """All that fit, in one call, whatever an older client asks for at a time."""
    await later(api, Label="a", Flow_Control_Key="tenant")
    await later(api, Label="b")
    await api.post("/v2/enqueue/mail/https://example.org/other", headers={"Upstash-Delay": "1h"})

    answer = await api.call("DELETE", f"/v2/messages?{query}")

    assert (answer.status, answer.json) == (202, {"cancelled": count})
    assert len((await api.get("/messages?topic=webhook")).json["items"]) == 3 - count


@pytest.mark.parametrize("query", ["label=", "colour=red", "responseStatus=500", "fromDate=x", "messageIds="])
async def test_what_cannot_be_meant_cancels_nothing(api: Api, query: str) -> None:
    """A filter that is not known would be one that holds of everything."""
    message_id = await later(api)

    assert (await api.call("DELETE", f"/v2/messages?{query}")).status == 400
    assert (await api.get(f"/v2/messages/{message_id}")).status == 200


@pytest.mark.parametrize(
    "content", [{}, {"messageIds": "one"}, {"messageIds": [1]}, [], {"messageIds": [f"x{number}" for number in range(1001)]}]
)
async def test_a_body_names_ids(api: Api, content: Any) -> None:
    """And nothing else; an empty list is none of them."""
    message_id = await later(api)

    assert (await api.call("DELETE", "/v2/messages", content)).status == 400
    assert (await api.call("DELETE", "/v2/messages", {"messageIds": []})).json == {"cancelled": 0}
    assert (await api.get(f"/v2/messages/{message_id}")).status == 200
