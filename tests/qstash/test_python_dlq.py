"""The DLQ with QStash's Python client: what is in it, found by each of its filters, and removed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from qstash.errors import QStashError

from tests.qstash.python_client import Python
from tests.support.receiver import Answer, Receiver


async def test_a_dead_letter_is_shown_with_its_last_answer(client: Python, receiver: Receiver, name: str) -> None:
    url = receiver.answers("/a", Answer(503), Answer(500, {"X-Answer": "no"}, b"broken"))
    sent = await client.message.publish(
        url=url, body="x", headers={"X-Test": "one"}, retries=1, retry_delay="1", label=name, method="PUT"
    )
    (listed,) = await client.dead(1)

    letter = await client.dlq.get(listed.dlq_id)

    assert (letter.message_id, letter.url, letter.body, letter.method) == (sent.message_id, url, "x", "PUT")
    assert (letter.response_status, letter.response_body) == (500, "broken")
    assert {key.lower(): value for key, value in letter.response_headers.items()}["x-answer"] == ["no"]
    assert {key.lower(): value for key, value in letter.headers.items()}["x-test"] == ["one"]
    assert (letter.max_retries, letter.label, letter.caller_ip) == (1, name, "127.0.0.1")
    assert letter == listed


async def test_an_answer_that_is_no_text_is_shown_in_base64(client: Python, receiver: Receiver) -> None:
    await client.message.publish(url=receiver.answers("/a", Answer(500, body=b"\xff\xfe")), body=b"\xfe\xff", retries=0)

    (letter,) = await client.dead(1)

    assert (letter.response_body or None, letter.response_body_base64) == (None, "//4=")
    assert (letter.body or None, letter.body_base64) == (None, "/v8=")


async def test_each_filter_finds_its_own(client: Python, receiver: Receiver, name: str) -> None:
    """One letter that has everything, one that has nothing of it."""
    started_ms = int(time.time() * 1000)
    full, plain = receiver.answers("/full", Answer(418)), receiver.answers("/plain", Answer(500))
    await client.url_group.upsert_endpoints(name, [{"url": full}])
    (sent,) = await client.message.enqueue(queue=name, url_group=name, retries=0, label=name)
    await client.message.publish(url=plain, retries=0)
    await client.dead(2)
    filters: list[dict[str, Any]] = [
        {"message_id": sent.message_id}, {"url": full}, {"url_group": name}, {"queue": name}, {"response_status": 418},
        {"label": name}, {"label": name, "response_status": 418, "caller_ip": "127.0.0.1"},
    ]  # fmt: skip

    for one in filters:
        found = (await client.dlq.list(filter=one)).messages
        assert [letter.message_id for letter in found] == [sent.message_id], one
    now_ms = int(time.time() * 1000)
    both: list[dict[str, Any]] = [{"from_time": started_ms - 1000}, {"to_time": now_ms + 1000}, {"caller_ip": "127.0.0.1"}]
    for one in both:
        assert len((await client.dlq.list(filter=one)).messages) == 2, one
    neither: list[dict[str, Any]] = [
        {"from_time": now_ms + 60_000}, {"to_time": started_ms - 60_000}, {"caller_ip": "127.0.0.9"}, {"schedule_id": "none"},
        {"label": name, "url": plain},
    ]  # fmt: skip
    for one in neither:
        assert (await client.dlq.list(filter=one)).messages == [], one


async def test_pages_follow_each_other(client: Python, receiver: Receiver) -> None:
    """Each letter is on one page, and the last page has no cursor."""
    url = receiver.answers("/a", Answer(500))
    sent = {(await client.message.publish(url=url, retries=0)).message_id for _ in range(5)}
    await client.dead(5)

    found, cursor = [], None
    for _ in range(3):
        page = await client.dlq.list(count=2, cursor=cursor)
        assert len(page.messages) <= 2
        found += [letter.message_id for letter in page.messages]
        cursor = page.cursor
    assert not cursor
    assert (len(found), set(found)) == (5, sent)


async def test_letters_are_deleted_one_by_one_or_together(client: Python, receiver: Receiver) -> None:
    url = receiver.answers("/a", Answer(500))
    for _ in range(4):
        await client.message.publish(url=url, retries=0)
    one, two, three, four = [letter.dlq_id for letter in await client.dead(4)]

    await client.dlq.delete(one)
    assert await client.dlq.delete_many([two, three, "none-0-0"]) == 2

    assert [letter.dlq_id for letter in (await client.dlq.list()).messages] == [four]
    for act in (client.dlq.get, client.dlq.delete):
        with pytest.raises(QStashError, match="404"):
            await act(one)
