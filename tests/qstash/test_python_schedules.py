"""Schedules with QStash's Python client. Their cron is of another season; a run is asked for by the service's own call."""

from __future__ import annotations

import time
from typing import Any

import pytest
from qstash.errors import QStashError
from qstash.schedule import ScheduleState

from tests.qstash.callback_body import told_in
from tests.qstash.python_client import Python
from tests.qstash.signed import check
from tests.qstash.whole import SELDOM, Served, run_now
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually

DAY_MS = 86_400_000


async def test_a_schedule_is_shown_with_all_that_it_says(client: Python, receiver: Receiver, name: str) -> None:
    options: dict[str, Any] = {
        "headers": {"X-Test": "one"}, "method": "PUT", "retries": 7, "retry_delay": "1000", "delay": "1m", "timeout": "30s",
        "callback": receiver.url("/told"), "failure_callback": receiver.url("/failed"), "label": name,
        "flow_control": {"key": name, "parallelism": 3, "rate": 5, "period": 60},
    }  # fmt: skip
    made = await client.schedule.create(
        destination=receiver.url("/a"), cron=SELDOM, body="grüße", content_type="text/plain", schedule_id=name, **options
    )

    told = await client.schedule.get(name)

    assert made == told.schedule_id == name
    assert (told.destination, told.cron, told.body, told.method) == (receiver.url("/a"), SELDOM, "grüße", "PUT")
    assert {key.lower(): value for key, value in told.headers.items()}["x-test"] == ["one"]
    assert (told.retries, told.retry_delay_expression, told.delay, told.label) == (7, "1000", 60, name)
    assert (told.callback, told.failure_callback) == (receiver.url("/told"), receiver.url("/failed"))
    flow = told.flow_control
    assert (flow.key, flow.parallelism, flow.rate, flow.period) == (name, 3, 5, 60)
    assert (told.paused, told.queue, told.caller_ip) == (False, None, "127.0.0.1")
    assert abs(told.created_at - time.time() * 1000) < DAY_MS / 24
    assert told.next_schedule_time > told.created_at


async def test_schedules_are_listed_and_deleted(client: Python, receiver: Receiver) -> None:
    """Without an id of one's own one is made up."""
    ids = [await client.schedule.create_json(destination=receiver.url("/a"), cron=SELDOM, body={"n": n}) for n in range(2)]

    assert {one.schedule_id for one in await client.schedule.list()} == set(ids)
    await client.schedule.delete(ids[0])
    assert [one.schedule_id for one in await client.schedule.list()] == [ids[1]]
    with pytest.raises(QStashError, match="404"):
        await client.schedule.get(ids[0])


async def test_the_same_id_again_changes_the_schedule(client: Python, receiver: Receiver, name: str) -> None:
    for cron in (SELDOM, "CRON_TZ=America/New_York 0 4 * * *"):
        await client.schedule.create(destination=receiver.url("/a"), cron=cron, schedule_id=name)

    (told,) = await client.schedule.list()
    assert told.cron == "CRON_TZ=America/New_York 0 4 * * *"
    assert told.next_schedule_time % DAY_MS in {8 * DAY_MS // 24, 9 * DAY_MS // 24}, "four o'clock in New York, in UTC"


async def test_a_schedule_is_paused_and_resumed(client: Python, receiver: Receiver, name: str) -> None:
    await client.schedule.create(destination=receiver.url("/a"), cron=SELDOM, schedule_id=name)

    await client.schedule.pause(name)
    assert (await client.schedule.get(name)).paused is True
    await client.schedule.resume(name)
    assert (await client.schedule.get(name)).paused is False


async def test_a_run_sends_what_the_schedule_says(client: Python, receiver: Receiver, emptied: Served, name: str) -> None:
    """Message, callback and the schedule itself tell of each other."""
    await client.schedule.create_json(
        destination=receiver.url("/a"), cron=SELDOM, body={"tick": 1}, headers={"X-Test": "one"}, method="PUT",
        schedule_id=name, callback=receiver.url("/told"),
    )  # fmt: skip

    await run_now(emptied, name)

    arrival = await receiver.first("/a")
    assert (arrival.method, arrival.json(), arrival.headers["X-Test"]) == ("PUT", {"tick": 1}, "one")
    assert arrival.headers["Upstash-Schedule-Id"] == name
    check(arrival)
    assert told_in(await receiver.first("/told"))["scheduleId"] == name

    async def noted() -> Any:
        return (await client.schedule.get(name)).last_schedule_states

    states = await eventually(noted, what="the run is noted")
    assert set(states) == {arrival.headers["Upstash-Message-Id"]}
    assert set(states.values()) <= {ScheduleState.IN_PROGRESS, ScheduleState.SUCCESS}


async def test_a_run_to_a_url_group_reaches_those_who_are_in_it_then(
    client: Python, receiver: Receiver, emptied: Served, name: str
) -> None:
    """The group is asked when the schedule runs, not when it is made."""
    await client.url_group.upsert_endpoints(name, [{"url": receiver.url("/a")}])
    await client.schedule.create(destination=name, cron=SELDOM, body="all", schedule_id=name)
    await client.url_group.upsert_endpoints(name, [{"url": receiver.url("/b")}])

    await run_now(emptied, name)

    for path in ("/a", "/b"):
        arrival = await receiver.first(path)
        assert (arrival.body, arrival.headers["Upstash-Schedule-Id"]) == (b"all", name)
        check(arrival)


async def test_runs_to_a_queue_come_in_its_order(client: Python, receiver: Receiver, emptied: Served, name: str) -> None:
    url = receiver.answers("/a", Answer(500), Answer(200))
    await client.schedule.create(destination=url, cron=SELDOM, body="x", schedule_id=name, queue=name, retry_delay="100")

    await run_now(emptied, name)
    await run_now(emptied, name)

    first, again, second = (one.headers["Upstash-Message-Id"] for one in await receiver.wait_for(3, "/a"))
    assert first == again != second
    assert (await client.schedule.get(name)).queue == name


async def test_what_is_no_cron_is_refused(client: Python, receiver: Receiver) -> None:
    with pytest.raises(QStashError, match=r"(?i)400.*cron"):
        await client.schedule.create(destination=receiver.url("/a"), cron="every now and then")
