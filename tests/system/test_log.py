"""The log of webhooks, as the whole service writes it: producer, dispatcher and workers as real processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from client import AsyncClient, LogEntry
from shared.settings import RedisSettings, Settings
from shared.store.log import read
from shared.store.log_filter import LogFilter
from shared.store.partition import Store
from tests.support.receiver import Answer, Receiver, running_receiver
from tests.support.waiting import eventually
from tests.system.conftest import MakeService

pytestmark = pytest.mark.leaves("log", "due", "index", "schedule", "dead")
REACHABLE = {"Webhooks__AllowedNetworks": '["127.0.0.0/8"]', "Webhooks__AllowedPorts": '["1-65535"]', "Partitions": 2}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as started:
        yield started


async def told(client: AsyncClient, message_id: str, *kinds: str) -> list[LogEntry]:
    """The entries of a message, the oldest first, once these are they: each process tells its own."""
    found = list[LogEntry]()

    async def over() -> bool:
        found[:] = [entry async for entry in client.list_log(message_id=message_id)][::-1]
        return [one.event for one in found] == list(kinds)

    await eventually(over, what=f"{message_id}: {kinds}")
    return found


async def test_a_webhook_is_logged_from_its_making_to_its_end(make_service: MakeService, receiver: Receiver) -> None:
    """Each step with where it goes, and each attempt with its answer. Nobody watches."""
    url = receiver.answers("/a", Answer(500, {"X-Why": "broken"}, b"not yet"), Answer(200, body=b"thanks"))
    service = make_service(Retry__InitialMs=50, **REACHABLE)
    await service.start()
    async with AsyncClient(service.producer_url) as client:
        sent = await client.schedule("webhook", body="hello", url=url, labels=["red"])
        made = await client.run_schedule(
            (await client.put_schedule("hooks", cron="0 3 29 2 *", message={"topic": "webhook", "url": receiver.url("/b")})).id
        )

        life = await told(client, sent.id, "scheduled", "running", "retrying", "running", "delivered")
        recurring = await told(client, made.message_id, "scheduled", "running", "delivered")

        assert {(one.url, one.labels, one.topic) for one in life} == {(url, ("red",), "webhook")}
        scheduled, _, failed, _, delivered = life
        assert (scheduled.body, scheduled.deliver_at) == ("hello", sent.deliver_at)
        assert failed.response is not None
        assert (failed.response.status, failed.response.body) == (500, "not yet")
        assert {name.lower(): value for name, value in failed.response.headers.items()}["x-why"] == "broken"
        assert failed.deliver_at is not None
        assert delivered.response is not None
        assert (delivered.response.status, delivered.response.body, delivered.attempt) == (200, "thanks", 2)
        assert {one.schedule for one in recurring} == {"hooks"}
        await client.delete_schedule("hooks")


async def test_processes_that_stop_tell_their_last_events(
    make_service: MakeService, receiver: Receiver, server_url: str, prefix: str
) -> None:
    """What happened in their last tenth of a second is in the log when they are gone."""
    service = make_service(**REACHABLE)
    await service.start()
    url = receiver.answers("/a", Answer(held=True))
    async with AsyncClient(service.producer_url) as client:
        sent = await client.schedule("webhook", url=url)
        await receiver.first("/a")
        service.named("consumers")[0].send(signal.SIGTERM)
        receiver.release("/a")
        await service.named("consumers")[0].ended()
        last = await client.schedule("webhook", url=url, delay="1h")
    for process in service.processes[:2]:
        process.send(signal.SIGTERM)
        await process.ended()

    settings = Settings(redis=RedisSettings(connection_string=server_url, key_prefix=prefix), partitions=2)
    store = Store(settings, "test")
    page = await read(store, LogFilter(), 10)
    await store.close()

    of_each = {one: [entry.event for entry in page.entries if entry.message_id == one][::-1] for one in (sent.id, last.id)}
    assert of_each == {sent.id: ["scheduled", "running", "delivered"], last.id: ["scheduled"]}
