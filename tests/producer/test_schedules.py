"""``/schedules`` over HTTP: make, look, list, replace, change, pause, run, delete, preview."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings
from shared.store import firing, schedules
from shared.store.partition import Store
from shared.times import parse_time_ms
from tests.producer.api import Api, assert_problem, stored
from tests.producer.conftest import OpenApi

pytestmark = pytest.mark.leaves("schedule", "due")

NIGHTLY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "message": {"topic": "work", "body": {"report": 7}}}
WAYS = [
    ("PATCH", "", {"max_runs": 3}),
    ("PUT", "", NIGHTLY),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("DELETE", "", None),
]


async def made(api: Api, content: object = NIGHTLY, **options: Any) -> Any:
    answer = await api.post("/schedules", content, **options)
    assert answer.status == 201, answer.content
    assert answer.headers["location"] == f"/schedules/{answer.json['id']}"
    return answer.json


async def test_a_schedule_is_answered_as_it_is_kept(api: Api) -> None:
    """With everything that was asked for, its defaults, and its next run."""
    content = {
        "id": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin",
        "start": "2030-01-01T00:00:00Z", "end": "2031-01-01T00:00:00Z",
        "max_runs": 100, "overlap": "skip", "catch_up": "all", "catch_up_within": "1h30m",
        "message": {
            "topic": "work", "body": "text", "content_type": "text/csv", "expires_after": "2h", "spread": "5m", "labels": ["a"],
            "headers": {"X": "y"}, "retry": {"max_attempts": 2}, "deadline_ms": 5, "retention_ms": 6, "flow_key": "k",
            "ordered": True,
        },
    }  # fmt: skip

    answer = await made(api, content)

    assert answer == {
        **content, "start": "2030-01-01T00:00:00.000Z", "end": "2031-01-01T00:00:00.000Z", "status": "active",
        "runs": 0, "skipped": 0, "missed": 0, "next_run": "2030-01-01T01:30:00.000Z", "durability": "memory",
        "created_at": answer["created_at"], "updated_at": answer["updated_at"],
    }  # fmt: skip
    del answer["durability"]
    found = await api.get("/schedules/nightly")
    shown = found.json
    assert [run["at_local"] for run in shown.pop("next_runs")] == [f"2030-01-0{day}T02:30:00.000+01:00" for day in range(1, 6)]
    assert (shown.pop("past_runs"), shown) == ([], answer)


@pytest.mark.parametrize("body", [{"body": {"a": [1]}}, {"body": "text"}, {"body_base64": "AAEC/w=="}, {}])
async def test_what_is_shown_can_be_put_again(api: Api, body: dict[str, Any]) -> None:
    """Whatever its body: the answer without what only the service knows is a request for the same."""
    first = await made(api, {"id": "a", "every": "1h0m30s", "message": {"topic": "work", **body}})
    own = {"id", "status", "created_at", "updated_at", "runs", "skipped", "missed", "next_run", "durability"}

    again = await api.call("PUT", "/schedules/a", {key: value for key, value in first.items() if key not in own})

    assert again.status == 200
    assert again.json | {"updated_at": ""} == first | {"updated_at": ""}


async def test_an_interval_that_is_put_again_goes_on(api: Api) -> None:
    """A program that puts its schedules whenever it starts does not push them ahead of itself; another interval begins anew."""
    asked = {"every": "1h", "message": {"topic": "work"}}
    first = (await api.call("PUT", "/schedules/a", asked)).json
    await asyncio.sleep(0.01)

    assert (await api.call("PUT", "/schedules/a", asked)).json["next_run"] == first["next_run"]
    assert (await api.call("PUT", "/schedules/a", {**asked, "every": "2h"})).json["next_run"] != first["next_run"]


@pytest.mark.parametrize(
    ("content", "field", "says"),
    [
        ({}, "message", "required"),
        ({"message": {"topic": "work"}}, "cron", "exactly one"),
        ({**NIGHTLY, "every": "1h"}, "every", "exactly one"),
        ({"every": "1h", "timezone": "Europe/Berlin", "message": {"topic": "work"}}, "timezone", "same in all zones"),
        ({**NIGHTLY, "timezone": "Berlin"}, "timezone", "IANA"),
        ({**NIGHTLY, "cron": "61 * * * *"}, "cron", "bad minute"),
        ({**NIGHTLY, "cron": "0 0 30 2 *"}, "cron", "expected a cron expression"),
        ({**NIGHTLY, "cron": ""}, "cron", ">= 1"),
        ({"every": 0.05, "message": {"topic": "work"}}, "every", "at least 100 ms"),
        ({"every": "soon", "message": {"topic": "work"}}, "every", "duration"),
        ({"every": True, "message": {"topic": "work"}}, "every", "got bool"),
        ({**NIGHTLY, "start": "tomorrow"}, "start", "ISO 8601"),
        ({**NIGHTLY, "start": "2030-01-02T00:00:00Z", "end": "2030-01-01T00:00:00Z"}, "end", "not before start"),
        ({**NIGHTLY, "end": "2020-01-01T00:00:00Z"}, "end", "a run to come"),
        ({**NIGHTLY, "max_runs": 0}, "max_runs", ">= 1"),
        ({**NIGHTLY, "overlap": "queue"}, "overlap", "invalid enum value"),
        ({**NIGHTLY, "catch_up": "some"}, "catch_up", "invalid enum value"),
        ({**NIGHTLY, "id": "a b"}, "id", "letters, digits"),
        ({**NIGHTLY, "id": "preview"}, "id", "preview is none"),
        ({**NIGHTLY, "surprise": 1}, "surprise", "no such field"),
        ({**NIGHTLY, "message": {"topic": "nobody"}}, "message.topic", "echo, webhook, work"),
        ({**NIGHTLY, "message": {"topic": "work", "delay": 1}}, "message.delay", "no such field"),
        ({**NIGHTLY, "message": {"topic": "work", "body": 1, "body_base64": "AA=="}}, "message.body_base64", "not both"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_is_wrong_is_named(
    api: Api, redis: Redis, prefix: str, method: str, content: dict[str, Any], field: str, says: str
) -> None:
    """And nothing is stored."""
    answer = await api.call(method, "/schedules" if method == "POST" else "/schedules/a", content)

    if method == "PUT" and field == "id":
        assert_problem(answer, 422, "id", says="no such field")
    else:
        assert_problem(answer, 422, field, says=says)
    assert await stored(redis, prefix) == {}


@pytest.mark.parametrize("bad", ["a%20b", ".a", "a:b", "x" * 129])
async def test_a_put_to_what_is_no_id_is_refused(api: Api, bad: str) -> None:
    assert_problem(await api.call("PUT", f"/schedules/{bad}", NIGHTLY), 422, "id", says="letters, digits")


async def test_there_is_one_of_an_id(api: Api) -> None:
    """POST makes, PUT makes or replaces."""
    await made(api, {**NIGHTLY, "id": "a"})

    assert_problem(await api.post("/schedules", {**NIGHTLY, "id": "a"}), 409, says="already")
    assert (await api.call("PUT", "/schedules/a", NIGHTLY)).status == 200
    created = await api.call("PUT", "/schedules/b", NIGHTLY)
    assert (created.status, created.headers["location"]) == (201, "/schedules/b")


async def test_a_repeat_with_its_key_finds_the_first(api: Api) -> None:
    """Also after it was changed; with another content the key is refused, with another key a second one is made."""
    key = {"Idempotency-Key": "k1"}
    first = await made(api, headers=key)
    assert await made(api, headers=key) == {**first, "deduplicated": True}
    await api.call("PATCH", f"/schedules/{first['id']}", {"max_runs": 7})

    again = await made(api, headers=key)

    assert (again["id"], again["deduplicated"], again["max_runs"]) == (first["id"], True, 7)
    assert_problem(await api.post("/schedules", {**NIGHTLY, "max_runs": 1}, headers=key), 409, "Idempotency-Key")
    assert (await made(api, headers={"Idempotency-Key": "k2"}))["id"] != first["id"]
    assert len((await api.get("/schedules")).json["items"]) == 2


async def test_a_change_changes_what_it_names(api: Api) -> None:
    """Everything else stays; ``null`` takes away; a rule of the other kind replaces it."""
    await made(api, {**NIGHTLY, "id": "a", "start": "2030-01-01T00:00:00Z", "max_runs": 5})

    async def patch(content: object) -> Any:
        answer = await api.call("PATCH", "/schedules/a", content)
        assert answer.status == 200, answer.content
        return answer.json

    changed = await patch({"cron": "0 4 * * *"})
    assert (changed["cron"], changed["timezone"], changed["max_runs"]) == ("0 4 * * *", "Europe/Berlin", 5)
    assert changed["next_run"] == "2030-01-01T03:00:00.000Z"
    changed = await patch({"timezone": "Asia/Tokyo", "max_runs": None, "overlap": "skip"})
    assert (changed["next_run"], changed.get("max_runs"), changed["overlap"]) == ("2030-01-01T19:00:00.000Z", None, "skip")
    changed = await patch({"every": "2h"})
    assert (changed.get("cron"), changed.get("timezone"), changed["every"]) == (None, None, "2h")
    assert changed["next_run"] == "2030-01-01T00:00:00.000Z", "its start is its first run"
    changed = await patch({"start": None, "message": {"topic": "echo", "body": "other"}})
    assert (changed.get("start"), changed["message"]) == (None, {"topic": "echo", "body": "other"})
    assert parse_time_ms(changed["next_run"]) == pytest.approx(parse_time_ms(changed["updated_at"]) + 7_200_000, abs=1000)
    changed = await patch({"cron": "@daily"})
    assert (changed["cron"], changed["timezone"], changed.get("every")) == ("@daily", "UTC", None)


@pytest.mark.parametrize(
    ("content", "field"),
    [({}, ""), ({"cron": "x"}, "cron"), ({"every": 1, "cron": "@daily"}, "every"), ({"timezone": "x"}, "timezone"),
     ({"end": "x"}, "end"), ({"message": {"topic": "x"}}, "message.topic"), ({"id": "b"}, "id")],
)  # fmt: skip
async def test_a_wrong_change_changes_nothing(api: Api, content: dict[str, Any], field: str) -> None:
    """It is named."""
    before = await made(api, {**NIGHTLY, "id": "a"})

    assert_problem(await api.call("PATCH", "/schedules/a", content), 422, field)
    assert (await api.get("/schedules/a")).json["updated_at"] == before["updated_at"]


@pytest.mark.parametrize(("method", "more", "content"), WAYS)
async def test_an_old_tag_changes_nothing(api: Api, method: str, more: str, content: object) -> None:
    """412 with the tag from before another's change; done with the present one."""
    await made(api, {**NIGHTLY, "id": "a"})
    old = (await api.get("/schedules/a")).headers["etag"]
    new = (await api.call("PATCH", "/schedules/a", {"max_runs": 9})).headers["etag"]

    refused = await api.call(method, f"/schedules/a{more}", content, headers={"If-Match": old})
    assert_problem(refused, 412, "If-Match", says="schedule 'a' has changed since")
    assert (await api.get("/schedules/a")).headers["etag"] == new
    assert (await api.call(method, f"/schedules/a{more}", content, headers={"If-Match": new})).status == 200


@pytest.mark.parametrize(
    ("method", "more", "content"), [("GET", "", None), ("PATCH", "", {"max_runs": 3}), *WAYS[2:], ("POST", "/run", None)]
)
async def test_what_is_not_there_is_not_found(api: Api, method: str, more: str, content: object) -> None:
    assert_problem(await api.call(method, f"/schedules/nobody{more}", content), 404, says="no schedule 'nobody'")


async def test_a_put_that_must_not_make_makes_nothing(api: Api, redis: Redis, prefix: str) -> None:
    """With ``If-Match`` there has to be one."""
    assert (await api.call("PUT", "/schedules/a", NIGHTLY, headers={"If-Match": "*"})).status == 412
    assert await stored(redis, prefix) == {}


async def test_paused_and_resumed(api: Api) -> None:
    """Both may be repeated; it may also be made as a paused one."""
    await made(api, {**NIGHTLY, "id": "a", "paused": True})

    for way, status in (
        ("pause", "paused"),
        ("resume", "active"),
        ("resume", "active"),
        ("pause", "paused"),
        ("pause", "paused"),
    ):
        answer = await api.post(f"/schedules/a/{way}")
        assert (answer.status, answer.json["status"], "next_run" in answer.json) == (200, status, status == "active")


async def test_a_paused_one_that_is_put_again_stays_paused(api: Api) -> None:
    """A program that puts its schedules whenever it starts undoes nobody's pause; it can say that it means to."""
    await api.call("PUT", "/schedules/a", NIGHTLY)
    await api.post("/schedules/a/pause")

    assert (await api.call("PUT", "/schedules/a", NIGHTLY)).json["status"] == "paused"
    assert (await api.call("PUT", "/schedules/a", {**NIGHTLY, "paused": False})).json["status"] == "active"
    assert (await api.call("PUT", "/schedules/a", {**NIGHTLY, "paused": True})).json["status"] == "paused"


async def test_run_now_makes_a_message_that_names_its_schedule(api: Api) -> None:
    """Listed among the past runs; the rule goes on as before."""
    before = await made(api, {**NIGHTLY, "id": "a"})

    run = await api.accepted("/schedules/a/run")

    message = await api.message(run["message_id"])
    assert (message["schedule"], message["occurrence"], message["body"]) == ("a", run["at"], {"report": 7})
    after = (await api.get("/schedules/a")).json
    assert [one["message_id"] for one in after["past_runs"]] == [run["message_id"]]
    assert (after["next_run"], after["runs"]) == (before["next_run"], 0)


async def test_deleted_it_is_gone_and_its_messages_stay(api: Api) -> None:
    await made(api, {**NIGHTLY, "id": "a"})
    run = await api.accepted("/schedules/a/run")

    deleted = await api.call("DELETE", "/schedules/a")

    assert (deleted.status, deleted.json) == (200, {"id": "a", "status": "deleted", "durability": "memory"})
    assert (await api.get("/schedules/a")).status == 404
    assert (await api.message(run["message_id"]))["status"] == "scheduled"


async def test_a_list_has_each_once_in_order(open_api: OpenApi, settings: Settings) -> None:
    """From three partitions, with pages of any size, filtered by topic and status."""
    api = await open_api(msgspec.structs.replace(settings, partitions=3))
    ids = sorted(f"s{number:02}" for number in range(25))
    for number, schedule_id in enumerate(reversed(ids)):
        topic = "echo" if number % 5 == 0 else "work"
        await made(api, {"id": schedule_id, "every": "1h", "message": {"topic": topic}, "paused": number % 2 == 0})

    for limit in (1, 7, 25, 500):
        found, cursor = list[str](), ""
        while True:
            page = (await api.get(f"/schedules?limit={limit}{cursor}")).json
            found += [one["id"] for one in page["items"]]
            assert len(page["items"]) <= limit
            if "next_cursor" not in page:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == ids
    echoes = (await api.get("/schedules?topic=echo&status=paused")).json["items"]
    assert [(one["message"]["topic"], one["status"]) for one in echoes] == [("echo", "paused")] * 3


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("cursor=%20", "cursor"), ("status=x", "status"), ("x=1", "x")],
)
async def test_a_wrong_parameter_of_the_list_is_named(api: Api, query: str, field: str) -> None:
    assert_problem(await api.get(f"/schedules?{query}"), 422, field)


async def test_a_preview_shows_the_runs_across_a_change_of_the_clocks(api: Api, redis: Redis, prefix: str) -> None:
    """In the gap of spring at its end; nothing is stored."""
    asked = {"cron": "30 2 * * *", "timezone": "America/New_York", "after": "2027-03-12T12:00:00Z", "count": 3}

    answer = await api.post("/schedules/preview", asked)

    assert (answer.status, answer.json) == (200, {"runs": [
        {"at": "2027-03-13T07:30:00.000Z", "at_local": "2027-03-13T02:30:00.000-05:00"},
        {"at": "2027-03-14T07:00:00.000Z", "at_local": "2027-03-14T03:00:00.000-04:00"},
        {"at": "2027-03-15T06:30:00.000Z", "at_local": "2027-03-15T02:30:00.000-04:00"},
    ]})  # fmt: skip
    assert await stored(redis, prefix) == {}


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ({"every": "1h"}, 10),
        ({"every": 0.1, "count": 1000}, 1000),
        ({"cron": "@yearly", "after": "2026-06-01T00:00:00Z", "end": "2029-06-01T00:00:00Z"}, 3),
    ],
)
async def test_a_preview_is_as_long_as_it_is_asked_to_be(api: Api, content: dict[str, Any], count: int) -> None:
    """Or as its end lets it be."""
    assert len((await api.post("/schedules/preview", content)).json["runs"]) == count


@pytest.mark.parametrize(
    ("content", "field"),
    [({}, "cron"), ({"cron": "x"}, "cron"), ({"every": 1, "count": 1001}, "count"), ({"every": 1, "after": "x"}, "after")],
)
async def test_a_wrong_preview_is_named(api: Api, content: dict[str, Any], field: str) -> None:
    assert_problem(await api.post("/schedules/preview", content), 422, field)


async def test_what_a_schedule_was_made_for_is_made(api: Api, store: Store) -> None:
    """The whole way from HTTP to the message, with the firing that the dispatcher does."""
    first = await made(api, {"id": "a", "every": "100ms", "max_runs": 2, "message": {"topic": "work", "body": "x"}})
    first_ms = parse_time_ms(first["next_run"])
    partition = store.partitions[0]
    while (await api.get("/schedules/a")).json["status"] == "active":
        for one in (await firing.due_schedules(partition, 10)).schedules:
            await firing.fire(partition, one)

    shown = (await api.get("/schedules/a")).json
    assert (shown["runs"], shown["next_runs"]) == (2, [])
    assert [parse_time_ms(run["at"]) - first_ms for run in reversed(shown["past_runs"])] == [0, 100]
    assert (await schedules.get(store, "a")).status == "ended"
