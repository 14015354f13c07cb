"""``/v2/events`` and ``/v2/logs``: what happened to webhooks, over HTTP and by QStash's official client."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from qstash.log import LogState

from producer.qstash.log_views import EVERY, STATES, log_out
from shared.about import About
from shared.events import KINDS, Event
from shared.settings import Settings
from shared.store import log
from shared.store.connect import Client as RedisClient
from shared.store.keys import Keys
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client

ABOUT = About(
    url="https://example.com/hook",
    method="PUT",
    group="everybody",
    endpoint="first",
    queue="mail",
    schedule="daily",
    max_attempts=4,
    retry_delay="1000 * retried",
    callback="https://example.com/told",
    failure_callback="https://example.com/failed",
    headers={"X-Tenant": "7"},
    body=b"a;b",
    status=503,
    response_headers={"X-Why": "busy"},
    response_body=b"later",
)


def event(kind: str, at_ms: int, **more: Any) -> Event:
    return msgspec.convert(
        {"event": kind, "at_ms": at_ms, "topic": "webhook", "message_id": "webhook-0-1", "about": ABOUT, **more}, Event
    )


@pytest.fixture
async def life(settings: Settings, redis: RedisClient) -> list[Event]:
    """A message that was retried and died, as it is in the log; then another one that was cancelled."""
    events = [
        event("scheduled", 1, due_ms=50, labels=("one", "two")),
        event("ready", 2),
        event("running", 3),
        event("retrying", 4, error="503 Service Unavailable", due_ms=90),
        event("running", 5),
        event("dead", 6, error="503 Service Unavailable"),
        event("cancelled", 7, message_id="webhook-0-2", about=About(url="https://example.com/other")),
    ]
    for one in events:
        await redis.xadd(Keys(settings.redis.key_prefix, 0).log, {log.FIELD: msgspec.json.encode(one)}, id=f"{one.at_ms}-0")
    return events


@pytest.mark.leaves("log")
@pytest.mark.usefixtures("life")
async def test_a_life_is_told_newest_first(client: Client) -> None:
    """An attempt that failed is an ERROR, and then a RETRY or FAILED of the same time."""
    page = await client.call(lambda qstash: qstash.log.list(filter={"message_id": "webhook-0-1"}))

    told = [(one.time, one.state.value) for one in page.logs]
    assert told == [(6, "FAILED"), (6, "ERROR"), (5, "ACTIVE"), (4, "RETRY"), (4, "ERROR"), (3, "ACTIVE"), (1, "CREATED")]
    assert page.cursor is None


@pytest.mark.leaves("log")
@pytest.mark.usefixtures("life")
async def test_an_entry_tells_everything(client: Client, api: Api) -> None:
    """As the official client reads it."""
    page = await client.call(lambda qstash: qstash.log.list(filter={"state": LogState.RETRY}))
    (found,) = page.logs

    assert (found.message_id, found.url, found.method) == ("webhook-0-1", ABOUT.url, "PUT")
    assert (found.url_group, found.endpoint, found.queue, found.schedule_id) == ("everybody", "first", "mail", "daily")
    assert (found.error, found.next_delivery_time) == ("503 Service Unavailable", 90)
    assert (found.headers, found.body_base64) == ({"X-Tenant": ["7"]}, "YTti")
    assert (found.response_status, found.response_headers, found.response_body) == (503, {"X-Why": ["busy"]}, "bGF0ZXI=")
    assert (found.max_retries, found.retry_delay_expression) == (3, "1000 * retried")
    assert (found.callback, found.failure_callback) == (ABOUT.callback, ABOUT.failure_callback)
    (created,) = (await api.get("/v2/logs?state=CREATED")).json["logs"]
    assert (created["label"], created["labels"], created["nextDeliveryTime"]) == ("one", ["one", "two"], 50)
    assert "responseStatus" not in created


@pytest.mark.parametrize(
    ("state", "times"),
    [
        ("ERROR", [6, 4]),
        ("FAILED", [6]),
        ("IN_PROGRESS", [6, 5, 4, 4, 3]),
        ("CANCELED", [7]),
        ("CANCELLED", [7]),
        ("CANCEL_REQUESTED", []),
        ("DELIVERED", []),
    ],
)
@pytest.mark.leaves("log")
@pytest.mark.usefixtures("life")
async def test_states_are_filtered(api: Api, state: str, times: list[int]) -> None:
    """One of QStash's may be several of ours, or half of one."""
    assert [one["time"] for one in (await api.get(f"/v2/events?state={state}")).json["events"]] == times


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("messageIds=webhook-0-2&messageIds=x", 1),
        ("url=https://example.com/other", 1),
        ("topicName=everybody", 7),
        ("queueName=mail&label=two", 1),
        ("scheduleId=no", 0),
        ("fromDate=4&toDate=5", 3),
    ],
)
@pytest.mark.leaves("log")
@pytest.mark.usefixtures("life")
async def test_filters(api: Api, query: str, count: int) -> None:
    """By what the message says and by time."""
    assert len((await api.get(f"/v2/events?{query}")).json["events"]) == count


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
@pytest.mark.leaves("log")
@pytest.mark.usefixtures("life")
async def test_pages_follow_the_cursor(api: Api, count: int) -> None:
    """None is longer than was asked for, but for the two entries of one failure."""
    told, cursor = [], ""
    while True:
        page = (await api.get(f"/v2/events?count={count}{cursor}")).json
        assert len(page["events"]) <= max(2, count)
        told += [(one["time"], one["state"]) for one in page["events"]]
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"

    assert told == [(one["time"], one["state"]) for one in (await api.get("/v2/events")).json["events"]]
    assert len(told) == 8


@pytest.mark.parametrize("query", ["state=NO", "label=", "count=0", "order=earliestFirst", "colour=a", "toDate=x"])
async def test_what_cannot_be_meant_is_refused(api: Api, query: str) -> None:
    """On both paths."""
    assert (await api.get(f"/v2/events?{query}")).status == (await api.get(f"/v2/logs?{query}")).status == 400


async def test_an_empty_log_is_an_empty_page(api: Api, client: Client) -> None:
    """No entry, and no cursor."""
    assert (await api.get("/v2/logs")).json == {"logs": []}
    assert (await client.call(lambda qstash: qstash.log.list())).logs == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_has_its_entries(kind: str) -> None:
    """In the words that the official client knows; what is no state there has none."""
    told = [one.state for one in log_out(event(kind, 1), EVERY)]

    assert told == list(STATES.get(kind, ()))[::-1]  # type: ignore[call-overload] # a kind
    assert {LogState(one).value for one in told} == set(told)
