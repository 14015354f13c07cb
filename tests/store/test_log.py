"""log.py: what is kept of webhook messages, as ``publishing`` keeps it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from shared.about import MOST_BYTES, About, about, redacted
from shared.errors import InvalidField
from shared.events import Event, Kind, Outbox
from shared.record import Options, Webhook
from shared.settings import Settings
from shared.store.connect import Client
from shared.store.log import FIELD, LogFilter, read
from shared.store.partition import Store
from shared.store.publishing import Publishing
from tests.store.stage import open_stage

pytestmark = pytest.mark.leaves("log")
ALL = LogFilter()


@pytest.fixture
async def wide(settings: Settings) -> AsyncIterator[Store]:
    async with open_stage(msgspec.structs.replace(settings, partitions=3)) as stage:
        yield stage.store


def _event(number: int, kind: Kind = "running", **more: Any) -> Event:
    return Event(event=kind, at_ms=1_000 + number, topic="webhook", message_id=f"webhook-0-{number}", **more)


async def _tell(store: Store, *events: Event, partition: int = 0, most: int = 1_000) -> None:
    outbox = store.partitions[partition].events
    for event in events:
        outbox.add(event)
    await Publishing([store.partitions[partition]], most).publish()


async def test_pages_show_every_event_once_newest_first(wide: Store) -> None:
    """Over all partitions, also while others are told. What was told in one millisecond may come on two pages."""
    for number in range(30):
        await _tell(wide, _event(number), partition=number % 3)
    seen: list[int] = []
    cursor = None
    for step in range(20):
        page = await read(wide, ALL, 4, cursor)
        seen += [event.at_ms - 1_000 for event in page.entries]
        await _tell(wide, _event(100 + step), partition=step % 3)
        cursor = page.next_cursor
        if cursor is None:
            break

    assert sorted(seen, reverse=True) == list(range(29, -1, -1))
    assert seen[0] >= 27


async def test_events_of_a_moment_are_in_the_order_in_which_they_happened(store: Store) -> None:
    """Processes tell of them at different times."""
    await _tell(store, _event(5, "delivered"), _event(5, "running"))
    await _tell(store, _event(4, "scheduled"))

    assert [event.event for event in (await read(store, ALL, 10)).entries] == ["delivered", "running", "scheduled"]


async def test_each_filter_finds_its_own(store: Store) -> None:
    """Values of one are alternatives; all of them have to fit."""
    told = About(
        url="https://example.com:8443/hook", group="g", queue="q", schedule="s", caller_ip="192.0.2.1", flow_key="k",
    )  # fmt: skip
    await _tell(store, _event(1, "dead", about=told, labels=("red", "blue")), _event(2), _event(3, "delivered"))

    async def found(**wanted: Any) -> list[int]:
        return [event.at_ms - 1_000 for event in (await read(store, LogFilter(**wanted), 10)).entries]

    one = {
        "kinds": "dead", "message_ids": "webhook-0-1", "urls": "https://example.com:8443/hook", "groups": "g", "queues": "q",
        "schedules": "s", "labels": "blue", "paths": "/hook", "callers": "192.0.2.1", "flow_keys": "k",
    }  # fmt: skip
    for name, value in one.items():
        assert await found(**{name: frozenset({value, "none"})}) == [1], name
    for host in ("example.com", "example.com:8443"):
        assert await found(hosts=frozenset({host})) == [1]
    assert await found(kinds=frozenset({"dead", "delivered"})) == [3, 1]
    assert await found(kinds=frozenset({"delivered"}), groups=frozenset({"g"})) == []
    assert await found(from_ms=1_002, until_ms=1_002) == [2]


async def test_it_is_bounded_and_strangers_are_passed_over(store: Store, redis: Client) -> None:
    """About so many of the newest are kept; what is of no known form is left out."""
    for start in range(0, 1_000, 100):
        await _tell(store, *(_event(number) for number in range(start, start + 100)), most=200)
    assert 200 <= await redis.xlen(store.partitions[0].keys.log) <= 400
    await redis.xadd(store.partitions[0].keys.log, {"other": "1"})
    await redis.xadd(store.partitions[0].keys.log, {FIELD: "{"})

    page = await read(store, ALL, 10)

    assert [event.at_ms for event in page.entries] == list(range(1_999, 1_989, -1))


@pytest.mark.parametrize("cursor", ["x", "1-2", "1-2-3-4", "1-x-0", "-1-2-0", "1" * 30 + "-0-0"])
async def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    """It is named."""
    with pytest.raises(InvalidField, match="cursor"):
        await read(store, ALL, 10, cursor)


async def test_only_messages_of_kept_topics_are_kept_and_only_watchers_hear_of_others(store: Store, redis: Client) -> None:
    """Counts of many are not; what waits when nobody watches any more is kept all the same."""
    outbox = store.partitions[0].events
    assert (outbox.wants("webhook"), outbox.wants("echo")) == (True, False)
    outbox.want(wanted=True)
    assert outbox.wants("echo")
    for topic in ("echo", "webhook"):
        outbox.add(Event(event="running", at_ms=1, topic=topic, message_id=f"{topic}-0-1"))
    outbox.add(Event(event="ready", at_ms=2, topic="webhook", count=3))
    outbox.want(wanted=False)

    await Publishing([store.partitions[0]], 100).publish()

    assert [event.message_id for event in (await read(store, ALL, 10)).entries] == ["webhook-0-1"]
    assert not Outbox().wants("webhook")


def test_what_is_told_of_a_message_hides_what_it_asks_for() -> None:
    """The body and headers only once, and at most four KiB of it; nothing of what is no webhook."""
    options = Options(headers={"X-A": "1", "X-B": "2"}, webhook=Webhook("https://example.com/", redact=("body", "header[x-a]")))

    hidden = about(options, b"secret")
    assert hidden is not None
    assert (hidden.body, hidden.headers) == (redacted(b"secret").encode(), {"X-A": redacted(b"1"), "X-B": "2"})
    later = about(options)
    assert later is not None
    assert (later.body, later.headers, later.url) == (b"", {}, "https://example.com/")
    long = about(msgspec.structs.replace(options, webhook=Webhook("https://example.com/")), b"x" * 10_000)
    assert long is not None
    assert len(long.body) == MOST_BYTES
    assert about(Options(), b"x") is None


def test_an_entry_is_readable_json() -> None:
    """But for the bodies, which are base64."""
    text = msgspec.json.encode(_event(1, about=About(url="https://example.com/", body=b"hi")))

    assert b'"url":"https://example.com/"' in text
    assert base64.b64encode(b"hi") in text
