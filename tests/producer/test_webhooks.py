"""Webhooks by the service's own API: what is asked for, shown, refused."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from tests.producer.api import Api, assert_problem, stored

URL = "https://example.com/hook"
HOOK = {"topic": "webhook", "url": URL, "delay": "1h"}
CALLBACK = {
    "url": "https://here.example/",
    "method": "PUT",
    "headers": {"X-Key": "1"},
    "retry": {"max_attempts": 2},
    "delay": "5s",
}
pytestmark = pytest.mark.leaves("due:webhook", "schedule", "log", "index")


async def test_a_webhook_is_shown_as_it_was_asked_for(api: Api) -> None:
    """Where it goes, how, and who is told."""
    asked = {**HOOK, "method": "PATCH", "body": {"a": 1}, "headers": {"X-Own": "2"}, "callback": CALLBACK}
    made = await api.accepted("/messages", {**asked, "failure_callback": {"url": "https://here.example/failed"}})

    found = await api.message(made["id"])

    assert (found["url"], found["method"], found["headers"], found["body"]) == (URL, "PATCH", {"X-Own": "2"}, {"a": 1})
    assert found["callback"] == CALLBACK
    assert found["failure_callback"] == {"url": "https://here.example/failed", "method": "POST"}


async def test_changing_it_leaves_its_target(api: Api) -> None:
    """Another body or time is sent to the same URL."""
    made = await api.accepted("/messages", HOOK)

    await api.call("PATCH", f"/messages/{made['id']}", {"body": "other", "delay": "2h"})

    found = await api.message(made["id"])
    assert (found["body"], found["url"], found["method"]) == ("other", URL, "POST")


async def test_a_recurring_schedule_may_make_webhooks(api: Api) -> None:
    """Its template shows where they go."""
    message = {"topic": "webhook", "url": URL, "callback": CALLBACK}
    made = await api.post("/schedules", {"id": "hooks", "cron": "0 9 * * *", "message": message})

    assert made.status == 201
    assert made.json["message"] == {"topic": "webhook", "body": "", "url": URL, "method": "POST", "callback": CALLBACK}


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        ({"topic": "work", "delay": 5}, "url", "expected topic webhook beside it"),
        ({"url": "http://127.0.0.1/"}, "url", "no public address"),
        ({"url": "http://2130706433/"}, "url", "no public address"),
        ({"url": "ftp://example.com/"}, "url", "expected a URL of http or https"),
        ({"url": "https://a:b@example.com/"}, "url", "without user name and password"),
        ({"url": "https://example.com:25/"}, "url", "port 25"),
        ({"url": ""}, "url", "expected"),
        ({"method": "TRACE"}, "method", "an HTTP method"),
        ({"method": "get"}, "method", "an HTTP method"),
        ({"method": "GET /\r\nX: y"}, "method", "an HTTP method"),
        ({"headers": {"host": "internal"}}, "headers", "expected no host"),
        ({"headers": {"Webhook-Signature": "v1,x"}}, "headers", "expected no Webhook-Signature"),
        ({"headers": {"Proxy-Authorization": "x"}}, "headers", "expected no Proxy-Authorization"),
        ({"headers": {"Content-Type": "text/a"}}, "headers", "content_type"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers.X", "without control characters"),
        ({"callback": {"url": "http://localhost/"}}, "callback.url", "no public address"),
        ({"callback": {}}, "callback.url", "required"),
        ({"callback": {"url": URL, "delay": "soon"}}, "callback.delay", "expected"),
        ({"callback": {"url": URL, "headers": {"Host": "x"}}}, "callback.headers", "expected no Host"),
        ({"callback": {"url": URL, "retry": {"initial_ms": 9, "max_ms": 1}}}, "callback.retry.max_ms", "at least"),
        ({"failure_callback": {"url": "nowhere"}}, "failure_callback.url", "expected a URL"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    api: Api, redis: Redis, prefix: str, wrong: dict[str, Any], field: str, says: str
) -> None:
    """Before anything is sent anywhere."""
    assert_problem(await api.post("/messages", {**HOOK, **wrong}), 422, field, says=says)

    assert await stored(redis, prefix) == {}


async def test_a_webhook_needs_a_url(api: Api) -> None:
    """The field is named."""
    assert_problem(await api.post("/messages", {"topic": "webhook"}), 422, "url", says="required of topic webhook")
