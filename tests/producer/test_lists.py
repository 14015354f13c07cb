"""``GET /messages``, and what is done to many by filter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.store.connect import Client
from shared.store.keys import Keys
from tests.producer.api import Api, assert_problem
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves("due", "dead", "index", "finished", "stream", "errors", "labels")

FAR = "2030-06-01T12:00:00Z"


async def scheduled(api: Api, count: int, **more: object) -> list[str]:
    batch = [{"topic": "work", "deliver_at": FAR, "body": number, **more} for number in range(count)]
    ids: list[str] = (await api.accepted("/messages/batch", batch))["ids"]
    return ids


async def buried(api: Api, stages: Stages, count: int, error: str = "no", **more: object) -> list[str]:
    ids = [(await api.accepted("/messages", {"topic": "work", "body": n, **more}))["id"] for n in range(count)]
    await stages.dispatch("work")
    for entry in await stages.read("work"):
        await stages.bury(entry, "told so", error)
    return ids


async def listed(api: Api, query: str = "", path: str = "/messages") -> list[Any]:
    """The items of all pages."""
    found, cursor = list[Any](), ""
    while True:
        answer = await api.get(f"{path}?{query}{cursor}")
        assert answer.status == 200, answer.content
        found += answer.json.get("items", [])
        if "next_cursor" not in answer.json:
            return found
        cursor = f"&cursor={answer.json['next_cursor']}"


def ids_of(items: list[Any]) -> set[str]:
    return {item["id"] for item in items}


async def test_each_is_shown_as_it_is_alone(api: Api) -> None:
    """The list says of a message what GET says, but for its way."""
    (one,) = await scheduled(api, 1, labels=["a"], headers={"X": "y"})

    alone = await api.message(one)
    assert alone.pop("timeline")
    assert await listed(api) == [alone]


async def test_states_and_filters(api: Api, stages: Stages) -> None:
    """State, topic, label, ranges of times as text and as numbers, order, size of the page."""
    dead = await buried(api, stages, 2)
    red = await scheduled(api, 3, labels=["red"])
    (later,) = await scheduled(api, 1, deliver_at="2030-06-01T12:00:00.001Z")
    (echo,) = await scheduled(api, 1, topic="echo")

    assert ids_of(await listed(api)) == {*red, later, echo}
    assert ids_of(await listed(api, "state=dead")) == set(dead)
    assert ids_of(await listed(api, "topic=echo&limit=1")) == {echo}
    assert ids_of(await listed(api, "label=red&limit=2")) == set(red)
    assert ids_of(await listed(api, "due_from=2030-06-01T12:00:00.001Z")) == {later}
    assert ids_of(await listed(api, "due_until=1906545600&topic=work")) == set(red)
    assert ids_of(await listed(api, "created_from=2030-01-01T00:00:00Z")) == set()
    assert ids_of(await listed(api, "topic=nobody")) == set()
    newest = [item["deliver_at"] for item in await listed(api, "order=newest&limit=2")]
    assert newest == sorted(newest, reverse=True)


@pytest.mark.parametrize(
    ("query", "field"),
    [("state=lost", "state"), ("order=up", "order"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("due_from=x", "due_from"),
     ("topic=a:b", "topic"), ("page=2", "page"), ("error=x", "error")],
)  # fmt: skip
async def test_a_bad_query_is_refused(api: Api, query: str, field: str) -> None:
    """422 names the parameter; what only dead letters have belongs to their list."""
    assert_problem(await api.get(f"/messages?{query}"), 422, field)


async def test_dead_letters_by_error_and_time(api: Api, stages: Stages) -> None:
    """A part of an error; a label; the time of death; one alone."""
    timeouts, others = await buried(api, stages, 2, "TimeoutError: slow", labels=["a"]), await buried(api, stages, 1, "no")

    assert ids_of(await listed(api, "error=Timeout", "/dead-letters")) == set(timeouts)
    assert ids_of(await listed(api, "label=a", "/dead-letters")) == set(timeouts)
    assert ids_of(await listed(api, "died_until=1", "/dead-letters")) == set()
    assert ids_of(await listed(api, "died_from=1", "/dead-letters")) == {*timeouts, *others}
    one = await api.get(f"/dead-letters/{others[0]}")
    assert (one.status, one.json) == (200, await api.message(others[0]))
    (waiting,) = await scheduled(api, 1)
    assert_problem(await api.get(f"/dead-letters/{waiting}"), 404, says="no dead letter")


async def test_a_dead_letter_is_deleted(api: Api, stages: Stages) -> None:
    """And is not there a second time."""
    (one,) = await buried(api, stages, 1)

    answer = await api.call("DELETE", f"/dead-letters/{one}")
    assert (answer.status, answer.json) == (200, {"id": one, "status": "deleted", "durability": "memory"})
    assert_problem(await api.call("DELETE", f"/dead-letters/{one}"), 404, says="no dead letter")
    assert (await api.get(f"/messages/{one}")).status == 404


async def test_a_replay_with_another_body_and_policy(api: Api, stages: Stages) -> None:
    """What is named is another, the rest stays."""
    (one,) = await buried(api, stages, 1, labels=["a"])
    change = {"delay": "1h", "body": {"fixed": True}, "retry": {"max_attempts": 9}, "deadline_ms": 7}

    told = await api.accepted(f"/dead-letters/{one}/replay", change)

    assert (told["body"], told["retry"], told["deadline_ms"], told["labels"]) == ({"fixed": True}, {"max_attempts": 9}, 7, ["a"])
    assert_problem(await api.post(f"/dead-letters/{one}/replay", {"content_type": "a/b"}), 422, "content_type")


async def many(api: Api, path: str, content: dict[str, Any]) -> int:
    """How many were affected by all requests to the end."""
    affected, cursor = 0, dict[str, str]()
    while True:
        answer = await api.post(path, {**content, **cursor})
        assert answer.status == 200, answer.content
        affected += int(answer.json["affected"])
        if "next_cursor" not in answer.json:
            return affected
        cursor = {"cursor": answer.json["next_cursor"]}


@pytest.mark.parametrize("path", ["/messages/cancel", "/messages/deliver"])
async def test_many_waiting_ones_by_filter(api: Api, path: str) -> None:
    """More than one request looks at; first only counted, then done, then nothing is left to do. Others are not touched."""
    red, (other,) = await scheduled(api, 1203, labels=["red"]), await scheduled(api, 1, labels=["blue"])
    asked = {"filter": {"topic": "work", "label": "red", "due_from": FAR}}

    assert await many(api, path, {**asked, "dry_run": True}) == 1203
    assert (await api.message(red[0]))["deliver_at"] == "2030-06-01T12:00:00.000Z"
    assert await many(api, path, asked) == 1203
    assert await many(api, path, asked) == 0
    last = await api.message(red[-1])
    assert last["status"] == ("cancelled" if path.endswith("cancel") else "scheduled")
    assert (last["deliver_at"] < "2030") is path.endswith("deliver")
    assert (await api.message(other))["deliver_at"] == "2030-06-01T12:00:00.000Z"


async def commands(redis: Client) -> int:
    """Scripts that were run."""
    return int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])


async def test_few_with_a_label_are_one_page_among_many(api: Api, redis: Client, prefix: str) -> None:
    """Ten thousand wait, three carry the label: one page has them all, and one request cancels them all."""
    plain = {"topic": "work", "deliver_at": FAR, "body": "x"}
    red = [5, 5_000, 9_999]
    batch = [{**plain, "labels": ["red", "rot und blau"]} if n in red else plain for n in range(10_000)]
    ids = (await api.accepted("/messages/batch", batch))["ids"]

    before = await commands(redis)
    page = (await api.get("/messages?label=rot%20und%20blau")).json
    assert await commands(redis) - before == len(red)
    assert ids_of(page["items"]) == {ids[n] for n in red}
    assert "next_cursor" not in page
    answer = await api.post("/messages/cancel", {"filter": {"label": "red"}})
    assert answer.json == {"affected": 3, "dry_run": False}
    assert (await api.get("/messages?label=red")).json.get("items", []) == []
    assert len(await listed(api, "limit=500")) == 9_997
    assert await redis.exists(Keys(prefix, 0).labels) == 0


async def test_a_label_leads_to_a_message_until_it_is_over(api: Api, stages: Stages) -> None:
    """Waiting, ready, running, retried, dead and replayed, delivered, cancelled; by either order and in pages of one."""
    first, second = [(await api.accepted("/messages", {"topic": "work", "labels": ["red"]}))["id"] for _ in range(2)]

    async def found(query: str = "") -> list[str]:
        return [item["id"] for item in await listed(api, f"label=red&limit=1{query}")]

    assert await found() == [first, second] == (await found("&order=newest"))[::-1]
    await stages.dispatch("work")
    assert (await found(), await found("&state=ready")) == ([], [first, second])
    one, two = await stages.read("work")
    assert await found("&state=running") == [first, second]
    await stages.fail(one, "no", 0)
    assert await found("&state=retrying") == [first]
    await stages.bury(two, "told so", "no")
    assert (await found("&state=dead"), await found()) == ([second], [first])
    await api.accepted(f"/dead-letters/{second}/replay", {"delay": "1h"})
    assert await found() == [first, second]
    await api.call("DELETE", f"/messages/{second}")
    assert await found() == [first]
    await stages.finish(await stages.run("work"))
    assert await found() == []


async def test_ready_ones_can_be_cancelled_too(api: Api, stages: Stages) -> None:
    """Those that no worker holds."""
    ids = [(await api.accepted("/messages", {"topic": "work"}))["id"] for _ in range(3)]
    await stages.dispatch("work")

    assert await many(api, "/messages/cancel", {"filter": {"topic": "work"}, "state": "ready"}) == 3
    assert {(await api.message(one))["status"] for one in ids} == {"cancelled"}


async def test_many_dead_letters_replayed_and_deleted(api: Api, stages: Stages) -> None:
    """By their error, with a change; what is left by their topic."""
    slow, broken = await buried(api, stages, 3, "TimeoutError"), await buried(api, stages, 2, "ValueError")
    asked = {"filter": {"error": "Timeout"}, "change": {"delay": "1h", "body": "again"}}

    assert await many(api, "/dead-letters/replay", {**asked, "dry_run": True}) == 3
    assert await many(api, "/dead-letters/replay", asked) == 3
    assert [(await api.message(one))["body"] for one in slow] == ["again"] * 3
    assert await many(api, "/dead-letters/delete", {"filter": {"topic": "work"}}) == 2
    assert [(await api.get(f"/messages/{one}")).status for one in broken] == [404, 404]


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("/messages/cancel", {}, "filter"),
        ("/messages/cancel", {"filter": {}}, "filter"),
        ("/messages/cancel", {"filter": {"label": "a"}, "state": "running"}, "state"),
        ("/messages/deliver", {"filter": {"label": "a"}, "state": "ready"}, "state"),
        ("/messages/cancel", {"filter": {"topic": "a:b"}}, "filter.topic"),
        ("/messages/cancel", {"filter": {"due_from": "x"}}, "filter.due_from"),
        ("/messages/cancel", {"filter": {"error": "x"}}, "filter.error"),
        ("/messages/cancel", {"filter": {"topic": "work"}, "cursor": "x"}, "cursor"),
        ("/dead-letters/replay", {"filter": {"error": "x"}, "change": {"delay": "x"}}, "delay"),
        ("/dead-letters/delete", {"filter": {}}, "filter"),
    ],
)
async def test_a_wrong_request_about_many_does_nothing(api: Api, path: str, content: dict[str, Any], field: str) -> None:
    """It is named; an empty filter is none, since nobody means all."""
    (one,) = await scheduled(api, 1)

    assert_problem(await api.post(path, data=json.dumps(content).encode()), 422, field)
    assert (await api.message(one))["status"] == "scheduled"
