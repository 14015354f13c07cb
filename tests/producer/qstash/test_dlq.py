"""``/v2/dlq``: dead letters of webhooks by QStash's words, over HTTP and by its official client."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from qstash.errors import QStashError

from shared.record import Callback, Options, RetryOptions, Webhook
from shared.store import messages
from shared.store.flow import Limit, set_limit
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client
from tests.producer.qstash.webhooks import URL, Webhooks

pytestmark = pytest.mark.leaves("dead", "due", "index", "stream", "flow:", "labels", "errors:")
NONE = "webhook-0-" + "0" * 21
EVERYTHING = Options(
    flow_key="customer",
    retry=RetryOptions(max_attempts=4, delays_ms=(1000,)),
    deadline_ms=7_000,
    labels=("one", "two"),
    headers={"X-Tenant": "7", "Content-Type": "text/csv"},
    schedule="daily",
    webhook=Webhook(
        url="https://example.com/a,b",
        method="PUT",
        callback=Callback(url="https://example.com/told", headers={"X-Told": "yes"}),
        failure_callback=Callback(url="https://example.com/failed", headers={"X-Failed": "yes"}),
        group="everybody",
        endpoint="first",
        retry_delay="1000",
        caller_ip="203.0.113.7",
    ),
)


async def listed(api: Api, query: str = "") -> list[str]:
    """The dlqIds of a page."""
    answer = await api.get(f"/v2/dlq?{query}")
    assert answer.status == 200, answer.content
    return [one["dlqId"] for one in answer.json["messages"]]


async def test_an_empty_dlq_is_an_empty_page(api: Api, client: Client) -> None:
    """No message, and no cursor: nothing follows."""
    assert (await api.get("/v2/dlq")).json == {"messages": []}

    page = await client.call(lambda qstash: qstash.dlq.list())

    assert (page.messages, page.cursor) == ([], None)


async def test_a_dead_letter_tells_everything(client: Client, webhooks: Webhooks) -> None:
    """What the message was sent with, as the official client reads it, in the list and by itself."""
    await set_limit(webhooks.stage.store, "webhook", "customer", Limit(5, 60_000, 3))
    (message_id,) = await webhooks.bury(options=EVERYTHING, body=b"a;b")

    found = await client.call(lambda qstash: qstash.dlq.get(message_id))

    assert [found] == (await client.call(lambda qstash: qstash.dlq.list())).messages
    assert (found.message_id, found.dlq_id) == (message_id, message_id)
    assert (found.url, found.method, found.url_group, found.endpoint) == (EVERYTHING.webhook.url, "PUT", "everybody", "first")  # type: ignore[union-attr] # it has one
    assert found.headers == {"X-Tenant": ["7"], "Content-Type": ["text/csv"]}
    assert (found.body, found.body_base64) == ("a;b", None)
    assert (found.callback, found.callback_headers) == ("https://example.com/told", {"X-Told": ["yes"]})
    assert (found.failure_callback, found.failure_callback_headers) == ("https://example.com/failed", {"X-Failed": ["yes"]})
    assert (found.max_retries, found.retry_delay_expression, found.caller_ip) == (3, "1000", "203.0.113.7")
    assert (found.schedule_id, found.label, found.queue, found.created_at) == ("daily", "one", None, 1)
    assert found.flow_control is not None
    assert (found.flow_control.key, found.flow_control.parallelism) == ("customer", 3)
    assert (found.flow_control.rate, found.flow_control.period) == (5, 60)
    assert (found.response_status, found.response_body) == (0, None)


async def test_a_body_that_is_no_text_is_base64(client: Client, webhooks: Webhooks, api: Api) -> None:
    """The other field is absent then."""
    (message_id,) = await webhooks.bury(body=b"\xff\x00")

    found = await client.call(lambda qstash: qstash.dlq.get(message_id))

    assert (found.body, found.body_base64) == (None, "/wA=")
    assert (await api.get(f"/v2/dlq/{message_id}")).json["dlqId"] == message_id


@pytest.mark.parametrize("act", ["get", "delete"])
async def test_what_is_not_in_the_dlq_is_not_found(client: Client, api: Api, act: str) -> None:
    """A dead letter of another topic is none of QStash's."""
    with pytest.raises(QStashError, match="status: 404"):
        await client.call(lambda qstash: getattr(qstash.dlq, act)(NONE))

    assert (await api.get(f"/v2/dlq/{NONE.replace('webhook', 'work')}")).status == 404
    assert (await api.post(f"/v2/dlq/retry/{NONE}")).status == 404


async def test_dead_letters_of_other_topics_are_not_listed(api: Api, webhooks: Webhooks) -> None:
    """Nor deleted by a filter or an id."""
    other = await webhooks.stage.dead()
    (message_id,) = await webhooks.bury()

    assert await listed(api) == [message_id]
    assert (await api.call("DELETE", "/v2/dlq?count=100")).json == {"deleted": 1}
    assert (await api.call("DELETE", f"/v2/dlq?dlqIds={other}")).json == {"deleted": 0}
    assert await webhooks.stage.status(other) == "dead"


async def test_pages_follow_the_cursor(client: Client, webhooks: Webhooks, api: Api) -> None:
    """Each once, the newest first, or the oldest where that is asked for."""
    ids = await webhooks.bury(5)
    found, cursor = [], None
    while True:
        page = await client.call(lambda qstash, cursor=cursor: qstash.dlq.list(count=2, cursor=cursor))  # type: ignore[misc] # bound now
        found += [one.dlq_id for one in page.messages]
        cursor = page.cursor
        if cursor is None:
            break

    assert sorted(found) == sorted(ids)
    assert await listed(api, "order=earliestFirst") == found[::-1]
    assert len(await listed(api, "count=1000")) == 5


@pytest.mark.parametrize(
    "query",
    [
        f"url={quote('https://example.com/a,b')}",
        "topicName=everybody",
        "scheduleId=daily",
        "callerIp=203.0.113.7",
        "callerIP=203.0.113.7",
        "label=two",
        "label=none,two",
        "label=none&label=two",
        "flowControlKey=customer",
        "responseStatus=0&label=one",
        "label=one&fromDate=1&toDate=99999999999999&api=ignored",
    ],
)
async def test_filters_find_what_fits_all_of_them(api: Api, webhooks: Webhooks, query: str) -> None:
    """Values of one name are alternatives, given again or with commas between."""
    (wanted,) = await webhooks.bury(options=EVERYTHING)
    await webhooks.bury(2, Options(labels=("other",)))

    assert await listed(api, query) == [wanted]
    assert await listed(api, f"{query}&messageId={wanted}") == [wanted]
    assert await listed(api, f"{query}&queueName=nobody") == []


async def test_times_are_those_of_the_death(api: Api, webhooks: Webhooks) -> None:
    """Both ends included."""
    (message_id,) = await webhooks.bury()
    died_ms = (await messages.get(webhooks.stage.store, message_id)).died_ms

    assert await listed(api, f"fromDate={died_ms}&toDate={died_ms}") == [message_id]
    assert await listed(api, f"fromDate={died_ms + 1}") == await listed(api, f"toDate={died_ms - 1}") == []


async def test_a_filter_by_queue_finds_what_lies_in_its_flow_key(client: Client, webhooks: Webhooks) -> None:
    """A queue is a flow key, which is not told as one."""
    (wanted,) = await webhooks.bury(options=Options(flow_key="queue:mail"))
    await webhooks.bury()

    (found,) = (await client.call(lambda qstash: qstash.dlq.list(filter={"queue": "mail"}))).messages

    assert (found.dlq_id, found.queue, found.flow_control) == (wanted, "mail", None)


async def test_messages_are_looked_up_by_their_ids(api: Api, webhooks: Webhooks) -> None:
    """Whatever is none is left out, and filters are ignored."""
    ids = await webhooks.bury(3)

    assert sorted(await listed(api, f"dlqIds={ids[0]}&dlqIds={ids[2]}&dlqIds={NONE}&dlqIds=x&label=no")) == sorted(ids[::2])


@pytest.mark.parametrize(
    "query", ["label=", "colour=a", "count=0", "count=x", "fromDate=-1", "order=newest", "cursor=x", "dlqIds="]
)
async def test_what_cannot_be_meant_is_refused(api: Api, query: str) -> None:
    """A filter that is not known, or is empty, would be one that holds of everything."""
    for method, path in (("GET", "/v2/dlq"), ("DELETE", "/v2/dlq"), ("POST", "/v2/dlq/retry")):
        assert (await api.call(method, f"{path}?{query}")).status in {400, 422}, (method, path)


async def test_one_is_deleted(client: Client, webhooks: Webhooks) -> None:
    """For ever, and the others stay."""
    first, second = await webhooks.bury(2)

    await client.call(lambda qstash: qstash.dlq.delete(first))

    assert await webhooks.stage.status(first) == "absent"
    assert await webhooks.stage.status(second) == "dead"


async def test_many_are_deleted_by_ids(client: Client, api: Api, webhooks: Webhooks) -> None:
    """In a body or a query; what is none of them is not counted, and no ids are none."""
    ids = await webhooks.bury(4)

    assert await client.call(lambda qstash: qstash.dlq.delete_many([*ids[:2], NONE])) == 2
    assert await client.call(lambda qstash: qstash.dlq.delete_many([])) == 0
    assert (await api.call("DELETE", f"/v2/dlq?dlqIds={ids[2]},{NONE}")).json == {"deleted": 1}
    assert await listed(api) == [ids[3]]


async def test_many_are_deleted_by_filter_a_page_at_a_time(api: Api, webhooks: Webhooks) -> None:
    """The cursor goes on until there is none."""
    (kept,) = await webhooks.bury(options=Options(labels=("keep",)))
    await webhooks.bury(3, Options(labels=("go",)))

    first = (await api.call("DELETE", "/v2/dlq?label=go&count=2")).json
    second = (await api.call("DELETE", f"/v2/dlq?label=go&count=2&cursor={quote(first['cursor'])}")).json

    assert (first["deleted"], second) == (2, {"deleted": 1})
    assert await listed(api) == [kept]


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v2/dlq"), ("POST", "/v2/dlq/retry")])
async def test_nobody_means_all_by_saying_nothing(api: Api, webhooks: Webhooks, method: str, path: str) -> None:
    """A count says that all are meant."""
    await webhooks.bury(2)

    assert (await api.call(method, path)).status == 400
    assert len(await listed(api)) == 2
    assert (await api.call(method, f"{path}?count=100")).status == 200
    assert await listed(api) == []


async def test_one_is_retried(api: Api, webhooks: Webhooks) -> None:
    """It waits again under its own id, with no attempt spent."""
    (message_id,) = await webhooks.bury()

    answer = await api.post(f"/v2/dlq/retry/{message_id}")

    assert (answer.status, answer.json) == (200, {"messageId": message_id})
    assert await webhooks.stage.status(message_id) == "scheduled"
    assert (await api.post(f"/v2/dlq/retry/{message_id}")).status in {404, 409}


async def test_many_are_retried_by_ids(api: Api, webhooks: Webhooks) -> None:
    """In a query, as the JavaScript client sends them, or a body; where none is there it says so."""
    ids = await webhooks.bury(3)

    by_query = await api.post(f"/v2/dlq/retry?dlqIds={ids[0]}&dlqIds={ids[1]}")
    by_body = await api.post("/v2/dlq/retry", {"dlqIds": [ids[2], NONE]})

    assert told(by_query.json) == sorted(ids[:2])
    assert told(by_body.json) == [ids[2]]
    assert by_query.status == by_body.status == 200
    assert (await api.post(f"/v2/dlq/retry?dlqIds={NONE}")).status == 404
    assert (await api.post("/v2/dlq/retry", {"dlqIds": []})).json == {"responses": []}


async def test_many_are_retried_by_filter(api: Api, webhooks: Webhooks) -> None:
    """With a cursor while more may follow."""
    await webhooks.bury(2, Options(labels=("go",)))
    (kept,) = await webhooks.bury()

    first = (await api.post("/v2/dlq/retry?label=go&count=1")).json
    second = (await api.post(f"/v2/dlq/retry?label=go&count=1&cursor={quote(first['cursor'])}")).json

    assert len(told(first)) == len(told(second)) == 1
    assert await listed(api) == [kept]


def told(answer: Any) -> list[str]:
    """The ids of what goes again."""
    return sorted(one["messageId"] for one in answer["responses"])


async def test_the_usual_message_has_no_more_than_it_needs(api: Api, webhooks: Webhooks) -> None:
    """What is empty is left out."""
    (message_id,) = await webhooks.bury()

    (found,) = (await api.get("/v2/dlq")).json["messages"]

    assert found.pop("notBefore") > 0
    assert found == {
        "messageId": message_id, "dlqId": message_id, "url": URL, "method": "POST", "maxRetries": 4, "createdAt": 1,
        "header": {"Content-Type": ["text/plain; charset=utf-8"]}, "body": "x", "responseStatus": 0,
    }  # fmt: skip
