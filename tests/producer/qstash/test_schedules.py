"""``/v2/schedules``: recurring schedules of webhooks over HTTP and by QStash's official client."""

from __future__ import annotations

from typing import Any

import pytest
from qstash.errors import QStashError
from qstash.schedule import Schedule, ScheduleState
from redis.asyncio import Redis

from shared.store import firing, flow, messages, schedules, url_groups
from shared.store.flow import Limit
from shared.store.partition import Store
from shared.store.url_groups import Endpoint
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client

URL = "https://example.com/hook?x=1"
SELDOM = "0 3 29 2 *"
DAY_MS = 86_400_000
pytestmark = pytest.mark.leaves(
    "schedule", "runs", "due:webhook", "index", "labels", "finished", "flow:webhook:limits", "webhooks"
)


async def make(client: Client, **asked: Any) -> Schedule:
    """A schedule as the official client shows it."""
    wanted = {"destination": URL, "cron": SELDOM, **asked}
    made = await client.call(lambda qstash: qstash.schedule.create(**wanted))
    return await client.call(lambda qstash: qstash.schedule.get(made))


async def test_a_schedule_is_shown_with_all_that_it_says(client: Client) -> None:
    """As the official client reads it."""
    found = await make(
        client, body="grüße", content_type="text/plain", headers={"X-Own": "1"}, method="PUT", retries=7, retry_delay="1000",
        delay="1m", timeout="30s", callback="https://example.com/told", callback_headers={"Forward-Y": "2"},
        failure_callback="https://example.com/failed", label="red", schedule_id="mine",
        flow_control={"key": "tenant", "parallelism": 3, "rate": 5, "period": 60},
    )  # fmt: skip

    assert (found.schedule_id, found.destination, found.cron, found.body, found.method) == ("mine", URL, SELDOM, "grüße", "PUT")
    assert found.headers == {"Content-Type": ["text/plain"], "X-Own": ["1"]}
    assert (found.retries, found.retry_delay_expression, found.delay, found.timeout, found.label) == (7, "1000", 60, 30, "red")
    assert (found.callback, found.callback_headers) == ("https://example.com/told", {"Y": ["2"]})
    assert (found.failure_callback, found.paused, found.queue) == ("https://example.com/failed", False, None)
    control = found.flow_control
    assert control is not None
    assert (control.key, control.parallelism, control.rate, control.period) == ("tenant", 3, 5, 60)
    assert (found.caller_ip, found.last_schedule_time, found.last_schedule_states) == ("127.0.0.1", None, None)
    assert found.next_schedule_time is not None
    assert found.next_schedule_time > found.created_at > 1_700_000_000_000


async def test_schedules_are_listed_and_deleted(client: Client, api: Api) -> None:
    """Those that make webhooks, each with an id of its own; others are none of these."""
    for schedule_id in ("own", "other"):
        content = {"id": schedule_id, "every": "1d", "message": {"topic": "work"}}
        assert (await api.post("/schedules", content)).status == 201
    made = [await make(client) for _ in range(2)]

    listed = await client.call(lambda qstash: qstash.schedule.list())
    assert sorted(listed, key=str) == sorted(made, key=str)
    await client.call(lambda qstash: qstash.schedule.delete(made[0].schedule_id))
    assert [one.schedule_id for one in await client.call(lambda qstash: qstash.schedule.list())] == [made[1].schedule_id]
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", "/pause"), ("POST", "/resume")):
        for missing in (made[0].schedule_id, "own"):
            assert (await api.call(method, f"/v2/schedules/{missing}{path}")).status == 404
    assert (await api.get("/schedules/own")).status == 200


async def test_the_same_id_again_changes_the_schedule(client: Client, store: Store) -> None:
    """A paused one stays paused, and what has been counted is kept."""
    first = await make(client, schedule_id="mine", body="one")
    await client.call(lambda qstash: qstash.schedule.pause("mine"))

    second = await make(client, schedule_id="mine", body="two", cron="CRON_TZ=America/New_York 0 4 * * *")

    assert (second.cron, second.body, second.paused) == ("CRON_TZ=America/New_York 0 4 * * *", "two", True)
    assert second.created_at == first.created_at
    await client.call(lambda qstash: qstash.schedule.resume("mine"))
    resumed = await client.call(lambda qstash: qstash.schedule.get("mine"))
    assert resumed.next_schedule_time is not None
    assert resumed.next_schedule_time % DAY_MS in {8 * DAY_MS // 24, 9 * DAY_MS // 24}, "four o'clock in New York, in UTC"
    assert (await schedules.get(store, "mine")).definition.rule.timezone == "America/New_York"


async def test_a_schedule_of_another_kind_is_not_replaced(api: Api) -> None:
    """Who makes a webhook of its id hears of it."""
    await api.post("/schedules", {"id": "own", "every": "1d", "message": {"topic": "work"}})

    answer = await api.post(f"/v2/schedules/{URL}", headers={"Upstash-Cron": SELDOM, "Upstash-Schedule-Id": "own"})

    assert (answer.status, list(answer.json)) == (409, ["error"])
    assert (await api.get("/schedules/own")).json["message"]["topic"] == "work"


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_schedule_is_paused_and_resumed(api: Api, client: Client, method: str) -> None:
    """By the method of the clients and by that of the documentation. Doing it again does no harm."""
    await make(client, schedule_id="mine")

    for act, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = await api.call(method, f"/v2/schedules/mine/{act}")
        assert (answer.status, answer.json) == (200, {})
        assert (await api.get("/v2/schedules/mine")).json["isPaused"] is paused


async def test_a_run_makes_the_message_after_the_delay(client: Client, store: Store, api: Api) -> None:
    """It knows its schedule; the schedule tells of its last run until that is forgotten."""
    await make(client, schedule_id="mine", body="x", delay="1h", label="red")

    run, _ = await firing.run_now(store, "mine")

    told = await client.call(lambda qstash: qstash.message.get(run.message_id))
    assert (told.schedule_id, told.url, told.body, told.label) == ("mine", URL, "x", "red")
    assert told.not_before - told.created_at == 3_600_000
    running = await client.call(lambda qstash: qstash.schedule.get("mine"))
    assert running.last_schedule_states == {run.message_id: ScheduleState.IN_PROGRESS}
    assert running.last_schedule_time == run.occurrence_ms
    await api.call("DELETE", f"/v2/messages/{run.message_id}")
    (over,) = await client.call(lambda qstash: qstash.schedule.list())
    assert over.last_schedule_states == {run.message_id: ScheduleState.FAIL}


async def test_a_schedule_to_a_queue_is_ordered_in_it(client: Client, store: Store) -> None:
    """The queue is there from then on."""
    found = await make(client, schedule_id="mine", queue="mail")

    run, _ = await firing.run_now(store, "mine")

    record = (await messages.get(store, run.message_id)).record
    assert record is not None
    assert (found.queue, found.flow_control) == ("mail", None)
    assert (record.options.flow_key, record.options.ordered) == ("queue:mail", True)
    limit = await flow.get(store, "webhook", "queue:mail")
    assert Limit(limit.rate, limit.period_ms, limit.concurrency) == Limit(0, 1_000, 1)


async def test_a_schedule_to_a_group_asks_for_its_endpoints_when_it_is_delivered(client: Client, store: Store) -> None:
    """So the message names the group and no URL."""
    await url_groups.put(store, "everybody", [Endpoint("https://one.example/")])

    found = await make(client, schedule_id="mine", destination="everybody")
    run, _ = await firing.run_now(store, "mine")

    record = (await messages.get(store, run.message_id)).record
    assert record is not None
    assert record.options.webhook is not None
    assert (record.options.webhook.group, record.options.webhook.url, found.destination) == ("everybody", "", "everybody")
    await url_groups.delete(store, "everybody")
    with pytest.raises(QStashError, match="404"):
        await make(client, destination="everybody")


async def test_what_is_redacted_is_not_shown_of_a_schedule(client: Client) -> None:
    """Neither alone nor in the list."""
    found = await make(client, body="secret body", headers={"X": "secret header"}, redact={"body": True, "header": True})

    (listed,) = await client.call(lambda qstash: qstash.schedule.list())
    assert found == listed
    assert found.body is not None
    assert found.body.startswith("REDACTED:")
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "Upstash-Cron: this header is required"),
        ({"Upstash-Cron": "every now and then"}, "Upstash-Cron: expected a cron expression"),
        ({"Upstash-Cron": "* * * *"}, "Upstash-Cron: expected a cron expression"),
        ({"Upstash-Cron": "0 0 30 2 *"}, "Upstash-Cron: expected"),
        ({"Upstash-Cron": "CRON_TZ=Mars/Base 0 0 * * *"}, "Upstash-Cron: expected the name of an IANA time zone"),
        ({"Upstash-Cron": "CRON_TZ=UTC"}, "Upstash-Cron: expected a cron expression"),
        ({"Upstash-Cron": SELDOM, "Upstash-Schedule-Id": "a/b"}, "Upstash-Schedule-Id: expected"),
        ({"Upstash-Cron": SELDOM, "Upstash-Schedule-Id": "-a"}, "Upstash-Schedule-Id: expected"),
        ({"Upstash-Cron": SELDOM, "Upstash-Queue-Name": 'a"b'}, "Upstash-Queue-Name: expected"),
        ({"Upstash-Cron": SELDOM, "Upstash-Not-Before": "1900000000"}, "Upstash-Not-Before: expected none here"),
        ({"Upstash-Cron": SELDOM, "Upstash-Deduplication-Id": "d"}, "Upstash-Deduplication-Id: expected none here"),
        ({"Upstash-Cron": SELDOM, "Upstash-Callback": "nowhere"}, "Upstash-Callback: expected a URL"),
        ({"Upstash-Cron": SELDOM, "Upstash-Delay": "9999d"}, "Upstash-Delay: expected a time at most"),
    ],
)
async def test_what_is_wrong_is_refused(api: Api, redis: Redis, prefix: str, headers: dict[str, str], said: str) -> None:
    """With the header at fault, and no schedule is made."""
    answer = await api.post(f"/v2/schedules/{URL}", data="x", headers=headers)

    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert answer.json["error"].startswith(said)
    assert await redis.keys(f"{prefix}:*schedule*") == []
    assert (await api.get("/v2/schedules")).json == []
