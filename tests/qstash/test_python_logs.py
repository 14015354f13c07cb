"""The log with QStash's Python client: each message's way, found by each filter."""

from __future__ import annotations

import base64
import time
from typing import Any

from qstash.log import LogState

from tests.qstash.python_client import Python
from tests.support.receiver import Answer, Receiver


async def test_a_delivery_is_logged_from_its_making_to_its_end(client: Python, receiver: Receiver, name: str) -> None:
    sent = await client.message.publish(url=receiver.url("/a"), body="x", headers={"X-Test": "one"}, label=name)

    entries = await client.logged(sent.message_id, LogState.DELIVERED)

    assert [one.state for one in reversed(entries)] == [LogState.CREATED, LogState.ACTIVE, LogState.DELIVERED]
    assert sorted((one.time for one in entries), reverse=True) == [one.time for one in entries]
    created = entries[-1]
    assert (created.url, created.message_id, created.label) == (receiver.url("/a"), sent.message_id, name)
    assert base64.b64decode(created.body_base64 or "") == b"x"
    assert {key.lower(): value for key, value in (created.headers or {}).items()}["x-test"] == ["one"]


async def test_a_failure_is_logged_with_its_answer_and_what_follows(client: Python, receiver: Receiver) -> None:
    url = receiver.answers("/a", Answer(500, body=b"broken"))
    sent = await client.message.publish(url=url, retries=1, retry_delay="10")

    entries = await client.logged(sent.message_id, LogState.FAILED)

    states = [one.state for one in entries]
    assert states.count(LogState.ACTIVE) == 2
    assert states.count(LogState.RETRY) == 1
    errors = [one for one in entries if one.state is LogState.ERROR]
    assert errors
    assert {one.response_status for one in errors} == {500}
    assert all(one.error for one in errors)
    retry = next(one for one in entries if one.state is LogState.RETRY)
    assert retry.next_delivery_time is not None
    assert retry.next_delivery_time >= retry.time


async def test_each_filter_finds_its_own(client: Python, receiver: Receiver, name: str) -> None:
    """One message that has everything, one that has nothing of it."""
    started_ms = int(time.time() * 1000)
    full, plain = receiver.url("/full"), receiver.url("/plain")
    await client.url_group.upsert_endpoints(name, [{"url": full}])
    (sent,) = await client.message.enqueue(queue=name, url_group=name, label=name)
    other = await client.message.publish(url=plain)
    await client.logged(sent.message_id, LogState.DELIVERED)
    await client.logged(other.message_id, LogState.DELIVERED)
    filters: list[dict[str, Any]] = [
        {"message_id": sent.message_id}, {"message_ids": [sent.message_id]}, {"url": full}, {"url_group": name},
        {"queue": name}, {"label": name}, {"label": name, "state": LogState.DELIVERED, "from_time": started_ms - 1000},
    ]  # fmt: skip

    for one in filters:
        found = (await client.log.list(filter=one)).logs
        assert {entry.message_id for entry in found} == {sent.message_id}, one
    two = (await client.log.list(filter={"message_ids": [sent.message_id, other.message_id], "state": LogState.CREATED})).logs
    assert {entry.message_id for entry in two} == {sent.message_id, other.message_id}
    assert {entry.state for entry in two} == {LogState.CREATED}
    neither: list[dict[str, Any]] = [
        {"label": name, "state": LogState.FAILED}, {"label": name, "schedule_id": "none"}, {"label": name, "url": plain},
        {"label": name, "from_time": int(time.time() * 1000) + 60_000}, {"label": name, "to_time": started_ms - 60_000},
    ]  # fmt: skip
    for one in neither:
        assert (await client.log.list(filter=one)).logs == [], one


async def test_pages_follow_each_other(client: Python, receiver: Receiver, name: str) -> None:
    """Each entry is on one page, and the last page has no cursor."""
    for _ in range(3):
        sent = await client.message.publish(url=receiver.url("/a"), label=name)
        await client.logged(sent.message_id, LogState.DELIVERED)

    found, cursor, pages = list[tuple[str, LogState]](), None, 0
    while (cursor or not pages) and pages < 10:
        page = await client.log.list(count=4, cursor=cursor, filter={"label": name})
        assert len(page.logs) <= 4
        found += [(entry.message_id, entry.state) for entry in page.logs]
        cursor, pages = page.cursor, pages + 1
    assert not cursor
    assert (len(found), len(set(found))) == (9, 9)
