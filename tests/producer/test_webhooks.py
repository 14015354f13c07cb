"""Webhooks by the service's own API: what is kept and shown, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.record import Callback, Options, RetryOptions, Webhook, decode_record
from shared.settings import WEBHOOK, Settings, WebhooksSettings
from tests.producer.api import NDJSON, Api, assert_problem, stored
from tests.producer.conftest import OpenApi
from tests.producer.qstash.webhooks import Webhooks
from tests.shared.ssrf_notations import LOOPBACK, METADATA, PORTS
from tests.store.stage import open_stage

URL = "https://example.com/hook?a=b#c"
CALLBACK: dict[str, Any] = {
    "url": "https://example.com/done", "method": "PUT", "headers": {"X-Tenant": "seven"}, "retry": {"max_attempts": 2},
    "delay": "1m30s", "deadline_ms": 5_000,
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "topic": "webhook", "url": URL, "method": "PATCH", "callback": CALLBACK, "headers": {"Authorization": "Bearer t"},
    "failure_callback": {"url": "https://example.com/failed"}, "body": {"a": 1}, "content_type": "application/vnd.a+json",
}  # fmt: skip
SHOWN = {
    "url": URL, "method": "PATCH", "callback": CALLBACK, "headers": {"Authorization": "Bearer t"},
    "failure_callback": {"url": "https://example.com/failed", "method": "POST"},
}  # fmt: skip


def only(message: dict[str, Any]) -> dict[str, Any]:
    """What it shows of the request."""
    return {name: message[name] for name in SHOWN if name in message}


@pytest.mark.leaves("due", "log")
async def test_a_webhook_is_kept_and_shown_as_it_was_given(api: Api, redis: Redis, prefix: str) -> None:
    """With every field; what is kept is what a worker reads."""
    made = await api.accepted("/messages", {**WHOLE, "delay": "1h"})

    assert only(await api.message(made["id"])) == SHOWN
    members: Any = await redis.zrange(f"{prefix}:{{0}}:due:webhook", 0, -1)
    record = decode_record(*members)
    assert record.options.webhook == Webhook(
        url=URL,
        method="PATCH",
        callback=Callback(
            "https://example.com/done", "PUT", {"X-Tenant": "seven"}, RetryOptions(max_attempts=2), 90_000, deadline_ms=5_000
        ),
        failure_callback=Callback("https://example.com/failed"),
    )
    assert (record.body, record.content_type) == (b'{"a": 1}', "application/vnd.a+json")


@pytest.mark.leaves("due", "log")
async def test_a_url_is_enough(api: Api) -> None:
    """POST without a body, and nobody is told of it."""
    made = await api.accepted("/messages", {"topic": "webhook", "url": URL, "delay": "1h"})

    shown = await api.message(made["id"])
    assert only(shown) == {"url": URL, "method": "POST"}
    assert shown["body"] == ""


@pytest.mark.leaves("due", "log")
async def test_a_batch_of_webhooks_and_others_is_accepted(api: Api) -> None:
    """As a list, and as lines."""
    both = [{**WHOLE, "delay": "1h"}, {"topic": "work", "delay": "1h"}]
    lines = "\n".join(json.dumps(one) for one in both).encode()

    as_list = await api.accepted("/messages/batch", both)
    as_lines = await api.accepted("/messages/batch", data=lines, headers={"Content-Type": NDJSON})

    for made in (as_list, as_lines):
        assert [only(await api.message(one)) for one in made["ids"]] == [SHOWN, {}]


@pytest.mark.leaves("schedule", "due", "log")
async def test_a_schedule_delivers_to_a_url(api: Api) -> None:
    """Its template shows what was given, and may be sent again as it is shown; its messages go there."""
    made = await api.post("/schedules", {"id": "nightly", "every": "1d", "message": WHOLE})
    assert made.status == 201, made.content

    template = (await api.get("/schedules/nightly")).json["message"]
    again = await api.call("PUT", "/schedules/nightly", {"every": "1d", "message": template})
    run = await api.post("/schedules/nightly/run")

    assert only(template) == SHOWN
    assert (again.status, again.json["message"]) == (200, template)
    assert only(await api.message(run.json["message_id"])) == SHOWN


@pytest.mark.leaves("due", "index", "log")
async def test_a_change_leaves_where_it_goes(api: Api) -> None:
    """Another time and another body go to the same URL, and the same ones are told."""
    made = await api.accepted("/messages", {**WHOLE, "delay": "1h"})

    changed = await api.call("PATCH", f"/messages/{made['id']}", {"delay": "2h", "body": "other"})

    assert (changed.status, changed.json["body"], only(changed.json)) == (200, "other", SHOWN)
    assert_problem(await api.call("PATCH", f"/messages/{made['id']}", {"url": URL}), 422, "url", says="no such field")


@pytest.mark.leaves("due", "stream", "errors", "index", "log")
async def test_a_replay_leaves_where_it_goes(api: Api, settings: Settings) -> None:
    """The dead letter shows it, and so does the message that it becomes again."""
    webhook = Webhook(url=URL, method="DELETE", callback=Callback("https://example.com/done"))
    async with open_stage(settings) as stage:
        hands = Webhooks(stage)
        (letter,) = await hands.bury(options=Options(webhook=webhook))
        await hands.close()
    expected = {"url": URL, "method": "DELETE", "callback": {"url": "https://example.com/done", "method": "POST"}}

    shown = (await api.get(f"/dead-letters/{letter}")).json
    replayed = await api.post(f"/dead-letters/{letter}/replay", {"delay": "1h", "body": "other"})

    assert only(shown) == expected
    assert (replayed.status, only(replayed.json)) == (202, expected)
    assert only(await api.message(letter)) == expected


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"topic": "webhook"}, "url", "required of topic webhook"),
    ({"topic": "webhook", "url": ""}, "url", "length"),
    ({"topic": "webhook", "url": 1}, "url", "str"),
    ({"topic": "webhook", "url": "https://example.com/" + "x" * 2048}, "url", "length"),
    ({"topic": "webhook", "url": "ftp://example.com/"}, "url", "http or https"),
    ({"topic": "webhook", "url": "https://user:secret@example.com/"}, "url", "without user name and password"),
    ({"topic": "webhook", "url": "https://example.com/\r\nX: y"}, "url", "without spaces, control characters"),
    *(({"topic": "webhook", "url": url}, "url", "public address") for url in (LOOPBACK[0], METADATA[0], "http://0x7f.1/")),
    *(({"topic": "webhook", "url": url}, "url", "Webhooks.AllowedPorts") for url in PORTS[:1]),
    *(({"topic": "work", name: value}, name, "topic webhook beside it") for name, value in (
        ("url", URL), ("method", "PUT"), ("callback", CALLBACK), ("failure_callback", CALLBACK),
    )),
    *(({"topic": "webhook", "url": URL, "method": method}, "method", "an HTTP method such as PUT") for method in (
        "", "get", "CONNECT", "TRACE", "A B", "POST\r\nX: y", "POST\n", "M-SEARCH", "P" * 21,
    )),
    *(({"topic": "webhook", "url": URL, "headers": {name: "x"}}, "headers", f"expected no {name}") for name in (
        "Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "TE", "Trailer", "Keep-Alive", "Expect",
        "Proxy-Authorization", "proxy-connection", "Content-Type", "Accept-Encoding", "webhook-id", "Webhook-Timestamp",
        "webhook-signature", "Upstash-Signature", "upstash-message-id", "Upstash-Retried",
    )),
    ({"topic": "webhook", "url": URL, "headers": {"X: y\r\nZ": "x"}}, "headers", "header name"),
    ({"topic": "webhook", "url": URL, "headers": {"X": "y\r\nHost: z"}}, "headers.X", "control characters"),
    ({"topic": "webhook", "url": URL, "callback": "https://example.com/"}, "callback", "object"),
    ({"topic": "webhook", "url": URL, "callback": {}}, "callback.url", "required"),
    ({"topic": "webhook", "url": URL, "callback": {"url": URL, "body": "x"}}, "callback.body", "no such field"),
]  # fmt: skip
for _name in ("callback", "failure_callback"):
    BAD_FIELDS += [
        ({"topic": "webhook", "url": URL, _name: {"url": URL, **more}}, f"{_name}.{field}", says)
        for more, field, says in (
            ({"url": "http://[::ffff:169.254.169.254]/"}, "url", "public address"),
            ({"url": "https://a@example.com/"}, "url", "without user name"),
            ({"url": "nowhere"}, "url", "expected a URL"),
            ({"method": "TRACE"}, "method", "an HTTP method such as PUT"),
            ({"headers": {"Upstash-Signature": "x"}}, "headers", "expected no Upstash-Signature"),
            ({"headers": {"X": "a\nb"}}, "headers.X", "control characters"),
            ({"retry": {"max_attempts": 0}}, "retry.max_attempts", ">= 1"),
            ({"retry": {"initial_ms": 2, "max_ms": 1}}, "retry.max_ms", "at least initial_ms"),
            ({"delay": "soon"}, "delay", "1d2h30m10s250ms"),
            ({"delay": "3651d"}, "delay", "Producer.HorizonDays"),
            ({"deadline_ms": 0}, "deadline_ms", ">= 1"),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("content", "field", "says"), BAD_FIELDS)
async def test_what_cannot_be_sent_is_refused_by_its_field(
    api: Api, redis: Redis, prefix: str, content: dict[str, Any], field: str, says: str
) -> None:
    """Alone, in a batch, to try, and as what a schedule delivers; nothing is stored."""
    schedule = {"id": "nightly", "every": "1d", "message": content}

    assert_problem(await api.post("/messages", content), 422, field, says=says)
    assert_problem(await api.post("/messages/preview", content), 422, field, says=says)
    assert_problem(await api.post("/messages/batch", [{"topic": "work"}, content]), 422, f"[1].{field}", says=says)
    assert_problem(await api.post("/schedules", schedule), 422, f"message.{field}", says=says)
    assert await stored(redis, prefix) == {}


@pytest.mark.leaves("due", "log")
async def test_the_settings_open_networks_ports_and_schemes(open_api: OpenApi, settings: Settings) -> None:
    """What they name is taken, for callbacks as well; their neighbours are not."""
    opened = WebhooksSettings(allowed_networks=("10.1.0.0/16",), allowed_ports=("9000-9001",), allowed_schemes=("http",))
    api = await open_api(msgspec.structs.replace(settings, webhooks=opened))
    fine = {"topic": "webhook", "url": "http://10.1.2.3:9000/", "callback": {"url": "http://[::ffff:10.1.2.3]:9001/"}}

    await api.accepted("/messages", {**fine, "delay": "1h"})

    for url in ("http://10.2.0.1:9000/", "http://10.1.2.3:9002/", "https://10.1.2.3:9000/", "http://10.1.2.3/"):
        assert_problem(await api.post("/messages", {"topic": "webhook", "url": url}), 422, "url")


@pytest.mark.leaves("due", "idempotency", "log")
async def test_a_key_stands_for_one_url(api: Api) -> None:
    """The same content elsewhere is another message."""
    headers = {"Idempotency-Key": "order-17"}
    first = await api.accepted("/messages", {**WHOLE, "delay": "1h"}, headers=headers)

    again = await api.accepted("/messages", {**WHOLE, "delay": "1h"}, headers=headers)
    elsewhere = await api.post("/messages", {**WHOLE, "url": "https://example.com/", "delay": "1h"}, headers=headers)

    assert (again["id"], again["deduplicated"]) == (first["id"], True)
    assert elsewhere.status == 409


async def test_topic_webhook_is_always_there(api: Api) -> None:
    """With no word of it in the settings."""
    found = (await api.get(f"/topics/{WEBHOOK.name}")).json

    assert (found["configured"], found["paused"]) == (True, False)
