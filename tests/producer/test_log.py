"""``GET /log`` over real HTTP: what is shown, found, refused. What the whole service tells: ``tests/system``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from shared.about import MOST_BYTES, About
from shared.events import Event
from shared.settings import Settings, WebhooksSettings
from shared.store.connect import Client
from shared.store.keys import Keys
from shared.store.log import FIELD
from shared.store.partition import Store
from tests.producer.api import Api, assert_problem
from tests.producer.conftest import OpenApi
from tests.producer.stages import Stages
from tests.support.waiting import eventually

pytestmark = pytest.mark.leaves("due:webhook", "index", "labels", "log", "dead", "errors", "stream:")
HOOK = {"topic": "webhook", "url": "https://example.com/hook", "delay": "1h"}
ABOUT = About(url="https://example.com/a", method="PUT", group="all", endpoint="one", schedule="daily", flow_key="k")


async def write(redis: Client, settings: Settings, *events: Event) -> None:
    for one in events:
        entry_id = f"{one.at_ms}-0"  # as if it had been told at once
        await redis.xadd(Keys(settings.redis.key_prefix, 0).log, {FIELD: msgspec.json.encode(one)}, id=entry_id)


def event(kind: str, at_ms: int, message_id: str = "webhook-0-1", **more: Any) -> Event:
    return msgspec.convert({"event": kind, "at_ms": at_ms, "topic": "webhook", "message_id": message_id, **more}, Event)


async def entries(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"/log{query}")
    assert answer.status == 200, answer.content
    found: list[dict[str, Any]] = answer.json["items"]
    return found


async def until_told(api: Api, message_id: str, *kinds: str) -> list[dict[str, Any]]:
    """The entries of a message, once these are they, the oldest first."""
    found = list[dict[str, Any]]()

    async def told() -> bool:
        found[:] = (await entries(api, f"?message_id={message_id}"))[::-1]
        return [one["event"] for one in found] == list(kinds)

    await eventually(told, what=f"{kinds} of {message_id}")
    return found


async def test_what_callers_do_with_webhooks_is_kept(api: Api) -> None:
    """With where each goes, though nobody watches; headers and body where it begins. A repeat is not told again."""
    asked = {
        **HOOK,
        "method": "PUT",
        "headers": {"X-Own": "1"},
        "body": {"a": 1},
        "labels": ["red"],
        "retry": {"max_attempts": 2},
    }
    made = await api.accepted("/messages", {**asked, "callback": {"url": "https://example.com/told"}})
    await api.call("PATCH", f"/messages/{made['id']}", {"delay": "2h"})
    for _ in range(2):
        assert (await api.call("DELETE", f"/messages/{made['id']}")).status == 200

    first, changed, last = await until_told(api, made["id"], "scheduled", "changed", "cancelled")

    same = {
        "topic": "webhook", "message_id": made["id"], "labels": ["red"], "url": HOOK["url"], "method": "PUT", "max_attempts": 2,
        "callback": "https://example.com/told",
    }  # fmt: skip
    content = {"headers": {"X-Own": "1"}, "body": '{"a": 1}'}
    assert first == {"event": "scheduled", "at": first["at"], "deliver_at": made["deliver_at"], **same, **content}
    assert changed == {"event": "changed", "at": changed["at"], "deliver_at": changed["deliver_at"], **same}
    assert last == {"event": "cancelled", "at": last["at"], **same}


@pytest.fixture
async def worker(store: Store) -> AsyncIterator[Stages]:
    """Hands that take webhooks."""
    hands = Stages(store, topics=["webhook"])
    yield hands
    await hands.close()


async def test_what_becomes_of_dead_letters_is_kept(api: Api, worker: Stages) -> None:
    """Also of one that is deleted, and of those that are replayed together."""
    ids = [(await api.accepted("/messages", {**HOOK, "delay": 0, "body": number}))["id"] for number in range(3)]
    await worker.dispatch("webhook")
    for entry in await worker.read("webhook"):
        await worker.bury(entry, "of no use", "an error")

    await api.call("DELETE", f"/dead-letters/{ids[0]}")
    await api.post("/dead-letters/replay", {"filter": {"topic": "webhook"}, "change": {"delay": "1h"}})

    gone = await until_told(api, ids[0], "scheduled", "deleted")
    back = await until_told(api, ids[1], "scheduled", "replayed")
    assert {one["url"] for one in (*gone, *back)} == {HOOK["url"]}


async def test_other_topics_and_refused_requests_leave_nothing(api: Api) -> None:
    """Nor does one that stores nothing because it was stored before."""
    await api.post("/messages", {**HOOK, "url": "nowhere"})
    other = await api.accepted("/messages", {"topic": "work", "delay": "1h"})
    await api.call("DELETE", f"/messages/{other['id']}")
    made = await api.accepted("/messages", HOOK)

    await until_told(api, made["id"], "scheduled")

    assert [one["message_id"] for one in await entries(api)] == [made["id"]]


async def test_without_entries_nothing_is_kept(open_api: OpenApi, settings: Settings, redis: Client, prefix: str) -> None:
    """``Webhooks.LogEntries`` 0; what an earlier setting kept is still shown."""
    await write(redis, settings, event("running", 1))
    api = await open_api(msgspec.structs.replace(settings, webhooks=WebhooksSettings(log_entries=0)))
    made = await api.accepted("/messages", HOOK)
    assert (await api.call("DELETE", f"/messages/{made['id']}")).status == 200

    assert [one["event"] for one in await entries(api)] == ["running"]
    assert await redis.xlen(Keys(prefix, 0).log) == 1


async def test_an_attempt_is_shown_with_its_answer(api: Api, redis: Client, settings: Settings) -> None:
    """As text where it is text, also where it was cut inside of a character; else as base64."""
    text = About(status=503, response_headers={"X-Why": "busy"}, response_body=b"later")
    cut = About(status=200, response_body=("x" + "\u00e4" * MOST_BYTES).encode()[:MOST_BYTES], response_truncated=True)
    binary = About(status=200, response_body=b"\xff\x00")
    await write(
        redis, settings, event("retrying", 1, about=text, attempt=1, error="503", due_ms=9, worker="w", lateness_ms=0),
        event("delivered", 2, about=cut), event("delivered", 3, about=binary),
    )  # fmt: skip

    third, second, first = await entries(api)

    assert first["response"] == {"status": 503, "headers": {"X-Why": "busy"}, "body": "later"}
    assert (first["error"], first["deliver_at"], first["attempt"]) == ("503", "1970-01-01T00:00:00.009Z", 1)
    assert (first["worker"], first["lateness_ms"]) == ("w", 0)
    assert second["response"] == {"status": 200, "body": "x" + "\u00e4" * ((MOST_BYTES - 1) // 2), "truncated": True}
    assert third["response"] == {"status": 200, "body_base64": "/wA="}


@pytest.mark.parametrize(
    ("query", "times"),
    [
        ("", [4, 3, 2, 1]),
        ("?message_id=webhook-0-2", [4]),
        ("?message_id=webhook-0-2&message_id=webhook-0-1&state=running", [2]),
        ("?state=running&state=dead", [3, 2]),
        ("?topic=webhook&topic=work&state=dead", [3]),
        ("?topic=work", []),
        ("?url=https://example.com/a", [3]),
        ("?url_group=all&schedule=daily&flow_key=k", [3]),
        ("?label=red&label=blue", [1]),
        ("?at_from=1970-01-01T00:00:00.002Z&at_until=1970-01-01T00:00:00.003Z", [3, 2]),
        ("?at_from=0.003", [4, 3]),
    ],
)
async def test_what_is_asked_for_is_found(api: Api, redis: Client, settings: Settings, query: str, times: list[int]) -> None:
    """Of several of one kind any will do, and all kinds have to fit."""
    await write(
        redis, settings, event("scheduled", 1, labels=("red",)), event("running", 2), event("dead", 3, about=ABOUT),
        event("cancelled", 4, "webhook-0-2"),
    )  # fmt: skip

    assert [int(one["at"][-4:-1]) for one in await entries(api, query)] == times


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_pages_follow_the_cursor(api: Api, redis: Client, settings: Settings, limit: int) -> None:
    """Each entry is on one of them, and the last has no cursor."""
    await write(redis, settings, *(event("running", number) for number in range(1, 6)))

    found, cursor, pages = list[str](), "", 0
    while pages < 10:
        page = (await api.get(f"/log?limit={limit}{cursor}")).json
        assert len(page["items"]) <= limit
        found += [one["at"] for one in page["items"]]
        pages += 1
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert found == sorted(found, reverse=True)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("?state=lost", "state", "expected one of scheduled"),
        ("?topic=a:b", "topic", "name of a topic"),
        ("?labels=a", "labels", "there is no such parameter"),
        ("?limit=0", "limit", "expected 1 to 500"),
        ("?limit=501", "limit", "expected 1 to 500"),
        ("?cursor=1-2", "cursor", "next_cursor"),
        ("?cursor=", "cursor", "next_cursor"),
        ("?at_from=yesterday", "at_from", "expected an ISO 8601"),
        ("?at_until=9999-12-31T00:00:00Z", "at_until", "Producer.HorizonDays"),
        ("?" + "&".join(["url=a"] * 101), "url", "at most 100 values"),
    ],
)
async def test_a_bad_query_is_refused(api: Api, query: str, field: str, says: str) -> None:
    """422 names the parameter."""
    assert_problem(await api.get(f"/log{query}"), 422, field, says=says)


async def test_an_empty_log_is_an_empty_page(api: Api) -> None:
    """With no cursor."""
    assert (await api.get("/log")).json == {"items": []}
