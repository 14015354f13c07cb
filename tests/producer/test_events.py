"""``GET /events`` over real HTTP: what is wanted, refused and bounded. What the whole service tells: ``tests/system``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import msgspec
import pytest
from redis.asyncio import Redis

from producer import events as page
from producer import hub
from shared.events import Batch, Event
from shared.settings import Settings
from shared.store import subscription
from shared.store.keys import Keys
from tests.producer.api import REQUEST_ID, Api, assert_problem, serve
from tests.producer.conftest import OpenApi
from tests.support.streams import Stream, opened
from tests.support.waiting import eventually

ORIGIN = "0123abcd"
ID = "work-0-" + "0" * 21
ALL = (
    Event(event="scheduled", at_ms=1, topic="work", message_id=ID, due_ms=2, labels=("red",)),
    Event(event="ready", at_ms=2, topic="work", count=3),
    Event(event="running", at_ms=3, topic="work", message_id=ID, attempt=1, worker="w", lateness_ms=0, labels=("red", "blue")),
    Event(event="retrying", at_ms=4, topic="work", message_id=ID, attempt=1, worker="w", due_ms=5, error="no\n\ndata: x"),
    Event(event="delivered", at_ms=5, topic="echo", message_id="echo-0-" + "0" * 21, attempt=1),
)


class Teller:
    """Tells events as a process does."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis, self._channel = redis, Keys(prefix, 0).events_channel
        self._number = 0

    async def tell(self, *events: Event, dropped: int = 0) -> None:
        batch = Batch(origin=ORIGIN, first=self._number + dropped, dropped=dropped, events=events)
        self._number += dropped + len(events)
        await self._redis.publish(self._channel, msgspec.json.encode(batch))

    async def heard(self, producers: int = 1) -> None:
        """Waits until so many producers listen."""

        async def listening() -> bool:
            return bool((await self._redis.pubsub_numsub(self._channel))[0][1] == producers)

        await eventually(listening, what=f"{producers} producers listen")


@pytest.fixture
def teller(redis: Redis, prefix: str) -> Teller:
    return Teller(redis, prefix)


@pytest.fixture
async def stream(api: Api, teller: Teller) -> AsyncIterator[Stream]:
    """One that gives everything."""
    async with opened(api.http, api.url) as made:
        await teller.heard()
        yield made


async def test_an_event_is_a_line_of_json(stream: Stream, teller: Teller) -> None:
    """With its name and an id; what does not apply is left out. An error's line ends end no event."""
    await teller.tell(*ALL)

    await stream.shows("delivered")
    assert stream.response.headers["Content-Type"] == "text/event-stream"
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert stream.blocks[0] == "retry: 2000"
    first = {"event": "scheduled", "at": "1970-01-01T00:00:00.001Z", "topic": "work", "message_id": ID}
    assert stream.events[0] == first | {"deliver_at": "1970-01-01T00:00:00.002Z", "labels": ["red"]}
    assert stream.events[1] == {"event": "ready", "at": "1970-01-01T00:00:00.002Z", "topic": "work", "count": 3}
    assert stream.events[2]["lateness_ms"] == 0
    assert stream.events[3]["error"] == "no\n\ndata: x"
    assert [f"id: {ORIGIN}-{number}" in block for number, block in enumerate(stream.blocks[1:])] == [True] * 5


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("?topic=echo", ["delivered"]),
        ("?topic=echo&topic=work&state=delivered&state=ready", ["ready", "delivered"]),
        ("?label=blue", ["running"]),
        ("?label=red&label=green&topic=work", ["scheduled", "running"]),
    ],
)
async def test_what_is_asked_for_is_given(api: Api, teller: Teller, query: str, kinds: list[str]) -> None:
    """And nothing else, but for what is about the stream."""
    async with opened(api.http, api.url, query) as stream:
        await teller.heard()
        await teller.tell(*ALL)
        await teller.tell(dropped=7)
        await stream.shows("dropped")

    assert stream.kinds() == [*kinds, "dropped"]
    assert stream.events[-1]["count"] == 7


async def test_what_is_described_is_what_is_given(api: Api, stream: Stream, teller: Teller) -> None:
    """Each event is of the schema that the description of the API names."""
    await teller.tell(*ALL, dropped=1)
    await stream.shows("delivered", "dropped")

    schema = {"$ref": "#/components/schemas/EventOut"}
    assert [api.description.complaints(schema, event) for event in stream.events] == [[]] * 6


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("?state=lost", "state", "expected one of scheduled"),
        ("?state=dead&state=", "state", "expected one of scheduled"),
        ("?topic=a:b", "topic", "name of a topic"),
        ("?topics=work", "topics", "topic, state, label"),
        ("?limit=3", "limit", "there is no such parameter"),
    ],
)
async def test_a_bad_query_is_refused(api: Api, query: str, field: str, says: str) -> None:
    """422 names the parameter, and no stream begins."""
    assert_problem(await api.get(f"/events{query}"), 422, field, says=says)


async def test_a_head_has_the_headers_alone(api: Api) -> None:
    """It ends at once, and is no stream."""
    async with api.http.head(f"{api.url}/events", headers={"X-Request-Id": REQUEST_ID}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["X-Request-Id"] == REQUEST_ID


@pytest.mark.leaves("due", "index", "idempotency", "labels")
async def test_what_callers_do_is_told(api: Api, stream: Stream) -> None:
    """Each message of a batch; a change, a delivery that is hurried on, a cancellation. A repeat that stores nothing is none."""

    async def schedule() -> None:
        await api.accepted("/messages", {"topic": "work", "delay": "1h"})

    await stream.until(schedule, "scheduled")
    batch = [{"topic": "work", "delay": "1h", "labels": ["red"]}, {"topic": "echo", "delay": "2h"}]
    key = {"Idempotency-Key": "once"}
    ids = (await api.accepted("/messages/batch", batch, headers=key))["ids"]
    assert (await api.accepted("/messages/batch", batch, headers=key))["ids"] == ids
    changed = (await api.call("PATCH", f"/messages/{ids[0]}", {"delay": "3h"})).json
    await api.post(f"/messages/{ids[1]}/deliver")
    await api.call("DELETE", f"/messages/{ids[1]}")

    await eventually(lambda: stream.of(ids[1])[-1:] == ["cancelled"])
    assert (stream.of(ids[0]), stream.of(ids[1])) == (["scheduled", "changed"], ["scheduled", "changed", "cancelled"])
    (told,) = [event for event in stream.events if event["event"] == "changed" and event["message_id"] == ids[0]]
    assert (told["deliver_at"], told["labels"]) == (changed["deliver_at"], ["red"])


async def test_too_many_are_refused_and_others_are_served(api: Api, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the time to wait; one that leaves makes room."""
    monkeypatch.setattr(hub, "MOST", 3)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(opened(api.http, api.url)) for _ in range(3)]

        refused = await api.get("/events")

        assert_problem(refused, 503, says="3 streams")
        assert refused.headers["retry-after"] == "5"
        assert (await api.get("/topics")).status == 200
        streams[0].response.close()

        async def room() -> bool:
            async with api.http.get(f"{api.url}/events") as answer:
                return answer.status == 200

        await eventually(room)
        await teller.heard()
        await teller.tell(ALL[0])
        await streams[2].shows("scheduled")


async def test_streams_take_no_place_of_requests(open_api: OpenApi, settings: Settings, teller: Teller) -> None:
    """``Producer.MaxInFlight`` is for what is worked on."""
    limits = msgspec.structs.replace(settings.producer, max_in_flight=1)
    api = await open_api(msgspec.structs.replace(settings, producer=limits))
    async with opened(api.http, api.url), opened(api.http, api.url):
        await teller.heard()
        assert (await api.get("/topics")).status == 200
    for _ in range(2):
        assert (await api.get("/topics")).status == 200


async def flood(teller: Teller, done: asyncio.Event) -> None:
    """Large events, a few at a time, until they are too many for somebody. The sleep is the pace of who tells them."""
    labels = tuple(f"{number:064}" for number in range(20))
    while not done.is_set():
        await teller.tell(*[msgspec.structs.replace(ALL[0], labels=labels)] * 200)
        await asyncio.sleep(0.05)


async def test_a_slow_reader_misses_events_and_holds_nobody_up(
    api: Api, stream: Stream, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told how many when it reads on, and where; whoever reads gets all meanwhile."""
    monkeypatch.setattr(hub, "MOST_A_TURN", 1_000_000)
    address, slow = urlsplit(api.url), socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(slow, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=slow, limit=4096)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"retry: 2000\n\n")
    done = asyncio.Event()
    flooding = asyncio.create_task(flood(teller, done))

    await eventually(lambda: len(stream.blocks) > 6_000, within_s=30, what="more than fits between a writer and a reader")
    text = b""

    async def told() -> bool:
        nonlocal text
        text = text[-100:] + await reader.read(2**20)
        return b"event: dropped\ndata: " in text

    await eventually(told, within_s=30)
    done.set()
    await flooding
    writer.close()
    assert "dropped" not in stream.kinds()


async def test_more_than_a_producer_gives_on_is_left_out(stream: Stream, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond is counted; requests keep their time."""
    monkeypatch.setattr(hub, "MOST_A_TURN", 3)
    monkeypatch.setattr(hub, "TURN_S", 60.0)

    await teller.tell(*ALL)
    await teller.tell(*ALL[:1])

    await eventually(lambda: sum(event.get("count", 0) for event in stream.events if event["event"] == "dropped") == 3)
    assert [kind for kind in stream.kinds() if kind != "dropped"] == ["scheduled", "ready", "running"]


async def test_a_silent_stream_shows_that_it_lives(
    open_api: OpenApi, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By comments, which a browser does not show."""
    monkeypatch.setattr(page, "HEARTBEAT_S", 0.0)
    monkeypatch.setattr(page, "LOOK_S", 0.01)
    api = await open_api(settings)
    async with opened(api.http, api.url) as stream:
        await eventually(lambda: stream.blocks.count(":") > 2)
    assert stream.events == []


async def test_two_producers_and_an_end(open_api: OpenApi, settings: Settings, teller: Teller) -> None:
    """Each gives every event, with the same id. One that is stopped ends its streams at once."""
    server, other = await serve(settings), await open_api(settings)
    url = str(server.make_url("")).rstrip("/")
    async with opened(other.http, url) as first, opened(other.http, other.url) as second:
        await teller.heard(2)
        await teller.tell(*ALL)
        for one in (first, second):
            await one.shows("delivered")
        assert first.blocks[1:] == second.blocks[1:]

        async with asyncio.timeout(2):
            await server.close()
        await eventually(lambda: first.ended)
        assert not second.ended


async def test_nobody_listens_for_nobody(api: Api, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last one has gone the producer leaves the channel, and comes back for the next."""
    monkeypatch.setattr(subscription, "SILENCE_S", 0.2)
    for _ in range(2):
        async with opened(api.http, api.url) as stream:
            await teller.heard()
            await teller.tell(ALL[0])
            await stream.shows("scheduled")
        await teller.heard(0)
