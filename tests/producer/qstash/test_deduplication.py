"""Deduplication as QStash has it: the second one is not stored, whatever it holds, and its answer is that of the first."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from producer.qstash.publishing import DEDUPLICATION_MS
from shared.store import messages, url_groups
from shared.store.partition import Store
from shared.store.url_groups import Endpoint
from tests.producer.api import Answer, Api

URL = "https://example.com/hook"
pytestmark = pytest.mark.leaves("due:webhook", "index", "flow:webhook:limits", "webhooks")


async def publish(api: Api, body: str, destination: str = URL, **headers: str) -> Answer:
    """An hour ahead where nothing else is said; ``_`` stands for the hyphen."""
    named = {f"Upstash-{name.replace('_', '-')}": value for name, value in {"Delay": "1h", **headers}.items()}
    return await api.post(f"/v2/publish/{destination}", data=body.encode(), headers=named)


async def bodies(store: Store, ids: list[str]) -> list[bytes]:
    records = [(await messages.get(store, one)).record for one in ids]
    return [record.body for record in records if record]


async def test_a_second_one_is_accepted_and_not_stored(api: Api, store: Store) -> None:
    """Though it goes elsewhere at another time: 202, and the id of the first."""
    first = await publish(api, "one", Deduplication_Id="d")
    second = await publish(api, "two", "https://example.com/other", Deduplication_Id="d", Delay="2h", Method="PUT")

    assert (first.status, second.status) == (201, 202)
    assert second.json == {"messageId": first.json["messageId"], "deduplicated": True}
    assert "deduplicated" not in first.json
    assert await bodies(store, [first.json["messageId"]]) == [b"one"]
    assert len((await api.get("/messages?topic=webhook")).json["items"]) == 1


async def test_an_id_is_remembered_for_ten_minutes(api: Api, redis: Redis, prefix: str) -> None:
    """As QStash says; past that it makes a new message."""
    await publish(api, "one", Deduplication_Id="d")

    (key,) = await redis.keys(f"{prefix}:{{0}}:idem*")
    left_ms = await redis.pttl(key)
    assert DEDUPLICATION_MS - 60_000 < left_ms <= DEDUPLICATION_MS == 600_000


async def test_content_is_destination_body_and_headers(api: Api) -> None:
    """Each alone makes another message; time and retries do not."""
    asked: list[dict[str, Any]] = [
        {"body": "a"}, {"body": "a", "Retries": "1", "Delay": "2h"}, {"body": "b"}, {"body": "a", "destination": f"{URL}?x=1"},
        {"body": "a", "Forward_X": "1"},
    ]  # fmt: skip

    answers = [await publish(api, **one, Content_Based_Deduplication="true") for one in asked]

    assert [answer.status for answer in answers] == [201, 202, 201, 201, 201]
    assert len({answer.json["messageId"] for answer in answers}) == 4


async def test_each_endpoint_of_a_group_has_its_own(api: Api, store: Store) -> None:
    """An endpoint that came later gets what the others have got."""
    one, two = Endpoint("https://one.example/"), Endpoint("https://two.example/")
    await url_groups.put(store, "everybody", [one])
    (first,) = (await publish(api, "x", "everybody", Deduplication_Id="d")).json
    await url_groups.put(store, "everybody", [one, two])

    again, new = (await publish(api, "x", "everybody", Deduplication_Id="d")).json

    assert again == {**first, "deduplicated": True}
    assert (new["url"], "deduplicated" in new) == (two.url, False)
    await url_groups.delete(store, "everybody")


async def test_a_batch_keeps_the_order_of_its_queue(api: Api, store: Store) -> None:
    """Those that are looked up by name are stored in their turn; one that repeats another of the same batch is not."""
    batch = [
        {"destination": URL, "queue": "mail", "body": "1", "headers": {"Upstash-Deduplication-Id": "a"}},
        {"destination": URL, "queue": "mail", "body": "2"},
        {"destination": URL, "queue": "mail", "body": "3", "headers": {"Upstash-Deduplication-Id": "a"}},
        {"destination": URL, "queue": "mail", "body": "4", "headers": {"Upstash-Deduplication-Id": "b"}},
        {"destination": URL, "queue": "mail", "body": "5"},
    ]

    answers = (await api.post("/v2/batch", batch)).json

    assert [one.get("deduplicated", False) for one in answers] == [False, False, True, False, False]
    assert answers[0]["messageId"] == answers[2]["messageId"]
    ids = [answers[number]["messageId"] for number in (0, 1, 3, 4)]
    assert ids == sorted(ids), "ordered messages of one time come by their ids"
    assert await bodies(store, ids) == [b"1", b"2", b"4", b"5"]


async def test_an_idempotency_key_of_the_same_text_is_another(api: Api) -> None:
    """That one is refused where the content differs."""
    await publish(api, "one", Deduplication_Id="d")
    native = {"topic": "webhook", "url": URL, "body": "other", "delay": "1h"}

    answer = await api.post("/messages", native, headers={"Idempotency-Key": "d"})

    assert (answer.status, answer.json.get("deduplicated", False)) == (202, False)
