"""``/v2/publish``, ``/v2/enqueue``, ``/v2/batch`` and ``/v2/messages``, over HTTP and by QStash's official client."""

from __future__ import annotations

from typing import Any

import pytest
from qstash.errors import QStashError
from qstash.message import BatchResponse, PublishResponse

from shared.record import Callback, Options, RetryOptions, Webhook
from shared.retry_delays import default_delays_ms
from shared.settings import Settings
from shared.store import flow, messages, url_groups
from shared.store.messages import View
from shared.store.partition import Store
from shared.store.url_groups import Endpoint
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client

URL = "https://example.com/hook"
pytestmark = pytest.mark.leaves("due:webhook", "due:webhook:limited", "labels", "index", "flow:webhook:limits", "webhooks")


@pytest.fixture
async def publish(client: Client, store: Store) -> Any:
    """Publishes by the official client, an hour ahead where nothing else is said; what is stored."""

    async def act(**asked: Any) -> View:
        asked = {"url": URL, "delay": "1h", **asked}
        answer = await client.call(lambda qstash: qstash.message.publish(**asked))
        assert isinstance(answer, PublishResponse)
        return await messages.get(store, answer.message_id)

    return act


def _webhook(view: View) -> Webhook:
    assert view.record is not None
    assert view.record.options.webhook is not None
    return view.record.options.webhook


async def test_a_published_message_is_stored_byte_for_byte(publish: Any) -> None:
    """With its type, and with what QStash does where nothing is said: POST, three retries, its own waits."""
    view = await publish(body=b'{"a" :1}\n', content_type="application/json")

    assert (view.topic, view.status, view.record.body, view.record.content_type) == (
        "webhook", "scheduled", b'{"a" :1}\n', "application/json",
    )  # fmt: skip
    assert view.record.options == Options(
        retry=RetryOptions(max_attempts=4, delays_ms=default_delays_ms(3), jitter=0.0),
        content_type="application/json",
        webhook=Webhook(url=URL, caller_ip="127.0.0.1"),
    )
    binary = await publish(body=b"\xff\x00")
    assert (binary.record.kind, binary.record.body) == ("base64", b"\xff\x00")


async def test_every_option_of_the_client_is_kept(publish: Any) -> None:
    """As options of the message, of its delivery, and of its callbacks."""
    view = await publish(
        body="x", method="PUT", headers={"X-Own": "1", "Authorization": "Bearer there"}, retries=2,
        retry_delay="1000 * (1 + retried)", callback="https://here.example/done", callback_headers={"X-Key": "2"},
        failure_callback="https://here.example/failed", timeout="30s", label="red",
        redact={"body": True, "header": ["Authorization"]},
        flow_control={"key": "tenant", "parallelism": 3, "rate": 5, "period": "1m"},
    )  # fmt: skip

    usual = RetryOptions(max_attempts=3, delays_ms=default_delays_ms(2), jitter=0.0)
    assert view.record.options == Options(
        flow_key="tenant",
        retry=RetryOptions(max_attempts=3, delays_ms=(1000, 2000), jitter=0.0),
        deadline_ms=30_000,
        labels=("red",),
        headers={"X-Own": "1", "Authorization": "Bearer there"},
        webhook=Webhook(
            url=URL,
            method="PUT",
            callback=Callback("https://here.example/done", headers={"X-Key": "2"}, retry=usual),
            failure_callback=Callback("https://here.example/failed", retry=usual),
            retry_delay="1000 * (1 + retried)",
            caller_ip="127.0.0.1",
            redact=("body", "header[Authorization]"),
        ),
    )


async def test_a_time_is_a_delay_or_an_instant(publish: Any) -> None:
    """Which wins over the delay."""
    later = await publish(delay="90m")
    at = await publish(not_before=2_051_222_400)

    assert 5_390_000 < later.due_ms - later.record.created_ms <= 5_400_000
    assert at.due_ms == 2_051_222_400_000


async def test_options_may_be_query_parameters_and_the_rest_belongs_to_the_destination(api: Api, store: Store) -> None:
    """A URL with its own query, escaped or not, with slashes as clients leave them."""
    for path in (
        "/v2/publish/https://example.com/a%20b?x=1&upstash-delay=1h&y=%26",
        "/v2/publish/https%3A%2F%2Fexample.com%2Fa%2520b%3Fx%3D1%26y%3D%2526?Upstash-Delay=1h",
        "/v2/publish/https:/example.com/a%20b?x=1&y=%26&UPSTASH-DELAY=1h",
    ):
        answer = await api.post(path, data="x")
        assert answer.status == 201
        assert _webhook(await messages.get(store, answer.json["messageId"])).url == "https://example.com/a%20b?x=1&y=%26"


async def test_a_second_one_of_a_deduplication_id_is_not_stored(client: Client, store: Store) -> None:
    """Whatever it holds; nor one of the same content, where that is asked for."""

    async def published(**asked: Any) -> PublishResponse:
        answer = await client.call(lambda qstash: qstash.message.publish(**{"url": URL, "delay": "1h", **asked}))
        assert isinstance(answer, PublishResponse)
        return answer

    first = await published(body="one", deduplication_id="d")
    again = await published(body="two", deduplication_id="d", delay="2h")
    assert (first.deduplicated, again.deduplicated, again.message_id) == (False, True, first.message_id)
    record = (await messages.get(store, first.message_id)).record
    assert record is not None
    assert record.body == b"one"

    same = [await published(body=body, content_based_deduplication=True) for body in ("a", "a", "b")]
    assert [one.deduplicated for one in same] == [False, True, False]
    assert same[0].message_id == same[1].message_id != same[2].message_id


async def test_a_group_gets_a_message_for_each_endpoint(client: Client, store: Store) -> None:
    """Each with its id; a group that is not there is an error."""
    await url_groups.put(store, "everybody", [Endpoint("https://one.example/", "one"), Endpoint("https://two.example/")])

    answers = await client.call(lambda qstash: qstash.message.publish(url_group="everybody", body="x", delay="1h"))

    assert isinstance(answers, list)
    assert [one.url for one in answers] == ["https://one.example/", "https://two.example/"]
    found = [_webhook(await messages.get(store, one.message_id)) for one in answers]
    assert [(one.url, one.group, one.endpoint) for one in found] == [
        ("https://one.example/", "everybody", "one"), ("https://two.example/", "everybody", None),
    ]  # fmt: skip
    with pytest.raises(QStashError, match="nobody"):
        await client.call(lambda qstash: qstash.message.publish(url_group="nobody"))
    await url_groups.delete(store, "everybody")


async def test_an_enqueued_message_is_ordered_in_its_queue(client: Client, store: Store) -> None:
    """Which has its limit from the first one on: one after the other."""
    answer = await client.call(lambda qstash: qstash.message.enqueue(queue="mail", url=URL, body="x"))

    assert not isinstance(answer, list)
    view = await messages.get(store, answer.message_id)
    assert view.record is not None
    assert (view.record.options.flow_key, view.record.options.ordered, _webhook(view).queue) == ("queue:mail", True, "mail")
    assert (await flow.get(store, "webhook", "queue:mail")).concurrency == 1


async def test_the_name_of_a_queue_may_be_escaped(api: Api, store: Store) -> None:
    """As any part of a path."""
    answer = await api.post(f"/v2/enqueue/%6Dail/{URL}?x=%26", headers={"Upstash-Delay": "1h"})

    assert answer.status == 201
    found = _webhook(await messages.get(store, answer.json["messageId"]))
    assert (found.queue, found.url) == ("mail", f"{URL}?x=%26")


async def test_a_batch_is_stored_in_its_order_or_not_at_all(client: Client, api: Api, store: Store) -> None:
    """Elements to URLs, to a queue, with a time; one that is wrong is named."""
    asked: list[Any] = [
        {"url": URL, "body": "one", "delay": "1h"},
        {"url": URL, "body": "two", "queue": "mail"},
        {"url": URL, "body": "three", "delay": "1h", "deduplication_id": "three"},
    ]

    answers = await client.call(lambda qstash: qstash.message.batch(asked))

    ids = [one.message_id for one in answers if isinstance(one, BatchResponse)]
    views = [await messages.get(store, one) for one in ids]
    assert [view.record.body for view in views if view.record] == [b"one", b"two", b"three"]
    wrong = [{"destination": URL}, {"destination": "ftp://example.com"}]
    refused = await api.post("/v2/batch", wrong)
    assert (refused.status, list(refused.json)) == (400, ["error"])
    assert refused.json["error"].startswith("[1].destination: expected a URL")


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        ("https://127.0.0.1/", {}, 400, "destination: 127.0.0.1 is no public address"),
        ("https://user:secret@example.com/", {}, 400, "without user name and password"),
        ("https://example.com:22/", {}, 400, "port 22"),
        ("no such group", {}, 400, "destination: expected a URL"),
        ("nobody", {}, 404, "nobody"),
        ("api/llm", {}, 400, "LLM"),
        (URL, {"Upstash-Delay": "soon"}, 400, "Upstash-Delay: expected a duration"),
        (URL, {"Upstash-Not-Before": "tomorrow"}, 400, "Upstash-Not-Before: expected a Unix time"),
        (URL, {"Upstash-Retries": "-1"}, 400, "Upstash-Retries: expected a number"),
        (URL, {"Upstash-Retry-Delay": "__import__('os')"}, 400, "Upstash-Retry-Delay: expected a number, retried"),
        (URL, {"Upstash-Method": "CONNECT"}, 400, "Upstash-Method: expected an HTTP method"),
        (URL, {"Upstash-Timeout": "0s"}, 400, "Upstash-Timeout: expected"),
        (URL, {"Upstash-Callback": "http://localhost/"}, 400, "Upstash-Callback: localhost is no public address"),
        (URL, {"Upstash-Callback": URL, "Upstash-Callback-Retries": "x"}, 400, "Upstash-Callback-Retries: expected"),
        (URL, {"Upstash-Callback": URL, "Upstash-Callback-Delay": "999999d"}, 400, "Upstash-Callback-Delay: expected a time"),
        (
            URL,
            {"Upstash-Failure-Callback": URL, "Upstash-Failure-Callback-Delay": "9" * 20 + "d"},
            400,
            "Upstash-Failure-Callback-Delay: expected",
        ),
        (URL, {"Upstash-Failure-Callback": "nowhere"}, 400, "Upstash-Failure-Callback: expected a URL"),
        (URL, {"Upstash-Flow-Control-Key": "a b"}, 400, "Upstash-Flow-Control-Key: expected"),
        (
            URL,
            {"Upstash-Flow-Control-Key": "k", "Upstash-Flow-Control-Value": "much"},
            400,
            "Upstash-Flow-Control-Value: expected",
        ),
        (URL, {"Upstash-Redact-Fields": "all"}, 400, "Upstash-Redact-Fields: expected"),
        (URL, {"Upstash-Content-Based-Deduplication": "yes"}, 400, "expected true or false"),
        (URL, {"Upstash-Label": "x" * 65}, 400, "Upstash-Label: expected"),
        (URL, {"Content-Type": "nothing"}, 400, "Content-Type: expected a media type"),
    ],
)
async def test_what_is_wrong_is_refused_in_qstashs_form(
    api: Api, settings: Settings, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    """With the header at fault; nothing is stored."""
    answer = await api.post(f"/v2/publish/{path}", data="x", headers=headers)

    assert (answer.status, list(answer.json)) == (status, ["error"])
    assert said in answer.json["error"]
    assert (await api.get("/messages?topic=webhook")).json == {"items": []}


async def test_a_message_is_shown_and_cancelled_until_it_is_over(client: Client, api: Api) -> None:
    """One, several by their ids, all."""
    ids = [(await api.post(f"/v2/publish/{URL}", data="x", headers={"Upstash-Delay": "1h"})).json["messageId"] for _ in range(5)]

    shown = await client.call(lambda qstash: qstash.message.get(ids[0]))
    assert (shown.message_id, shown.url, shown.method, shown.max_retries, shown.body) == (ids[0], URL, "POST", 3, "x")
    await client.call(lambda qstash: qstash.message.cancel(ids[0]))
    with pytest.raises(QStashError, match="404"):
        await client.call(lambda qstash: qstash.message.get(ids[0]))
    assert await client.call(lambda qstash: qstash.message.cancel_many([ids[1], ids[2], "webhook-0-none"])) == 2
    assert await client.call(lambda qstash: qstash.message.cancel_all()) == 2


async def test_messages_are_cancelled_by_filter(api: Api) -> None:
    """Only those that fit; what is no filter is refused."""
    for label in ("red", "blue"):
        await api.post(f"/v2/publish/{URL}", data="x", headers={"Upstash-Delay": "1h", "Upstash-Label": label})

    assert (await api.call("DELETE", "/v2/messages?label=red&count=100")).json == {"cancelled": 1}
    assert (await api.call("DELETE", "/v2/messages?colour=red")).status == 400
    assert [item["labels"] for item in (await api.get("/messages?topic=webhook")).json["items"]] == [["blue"]]
