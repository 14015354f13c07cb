"""The call of ``/events``, with both clients."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from redis.asyncio import Redis

from client import Event, Invalid, LogEntry, Unavailable
from shared.store import subscription
from tests.client.faces import Face
from tests.client.misbehaving import Misbehaving
from tests.producer.test_events import ALL, Teller
from tests.support.waiting import eventually


def stream(*lines: str) -> web.Response:
    """One that ends after these."""
    return web.Response(text="".join(f"data: {line}\n\n" for line in lines), content_type="text/event-stream")


@pytest.fixture
def teller(redis: Redis, prefix: str) -> Teller:
    return Teller(redis, prefix)


async def test_events_come_as_they_happen(face: Face, teller: Teller) -> None:
    """Typed, and only those that were asked for."""
    reading = asyncio.create_task(face.first("events", 2, topic="work", state=["running", "retrying"]))
    await teller.heard()
    await teller.tell(*ALL)

    running, retrying = await reading

    assert running == Event(
        event="running", at=datetime(1970, 1, 1, 0, 0, 0, 3_000, UTC), topic="work", message_id=ALL[2].message_id, attempt=1,
        worker="w", lateness_ms=0, labels=("red", "blue"), id="0123abcd-2",
    )  # fmt: skip
    assert (retrying.error, retrying.deliver_at) == (ALL[3].error, datetime(1970, 1, 1, 0, 0, 0, 5_000, UTC))


async def test_a_wrong_call_is_refused(face: Face) -> None:
    """As any other is."""
    with pytest.raises(Invalid) as refused:
        await face.first("events", 1, state="lost")

    assert refused.value.field == "state"


async def test_a_lost_connection_is_opened_anew(badly_served: Face, misbehaving: Misbehaving) -> None:
    """Also where the service is busy first; the caller hears that something may be missing."""
    dead, running = (f'{{"event": "{kind}", "at": "2035-01-31T08:00:00.000Z"}}' for kind in ("dead", "running"))
    misbehaving.faults = [503, stream(dead), 503, stream(running)]

    found = await badly_served.first("events", 3)

    assert [event.event for event in found] == ["dead", "resumed", "running"]


async def test_a_service_that_stays_busy_is_an_error(badly_served: Face, misbehaving: Misbehaving) -> None:
    """After as many tries as the client has."""
    misbehaving.faults = [503] * 4

    with pytest.raises(Unavailable, match="not now"):
        await badly_served.first("events", 1)


async def test_who_leaves_closes_the_connection(face: Face, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the producer has nobody left to listen for."""
    monkeypatch.setattr(subscription, "SILENCE_S", 0.2)
    reading = asyncio.create_task(face.first("events", 1))
    await teller.heard()
    await teller.tell(ALL[0])
    assert len(await reading) == 1

    await teller.heard(0)


@pytest.mark.leaves("due:webhook", "log", "idempotency", "index", "labels")
async def test_the_log_is_read_in_pages(face: Face) -> None:
    """All entries that fit, the newest first, typed; of times a datetime will do."""
    made = await face.call(
        "schedule", "webhook", url="https://example.com/a", body=b"\xff", headers={"X-Own": "1"}, labels=["red"], delay="1h"
    )
    await face.call("change", made.id, delay="2h")
    await face.call("cancel", made.id)
    found = list[LogEntry]()

    async def told() -> bool:
        found[:] = await face.items("list_log", message_id=made.id, page_size=1)
        return len(found) == 3

    await eventually(told)

    first = found[-1]
    assert {one.event for one in found} == {"scheduled", "changed", "cancelled"}
    assert (first.url, first.body_bytes, first.headers) == ("https://example.com/a", b"\xff", {"X-Own": "1"})
    (cancelled,) = await face.items("list_log", label=["blue", "red"], state="cancelled", at_from=first.at)
    assert cancelled.at >= first.at
    assert await face.items("list_log", label="red", at_from=first.at + timedelta(days=1)) == []
    with pytest.raises(Invalid):
        await face.items("list_log", state="lost")
