"""The log is read newest first, over all partitions, by filter, a bounded part at a time."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from shared.about import About
from shared.errors import InvalidField
from shared.events import Event
from shared.settings import Settings
from shared.store import log
from shared.store.connect import Client
from shared.store.log import FIELD, MOST_LOOKED_AT, read
from shared.store.log_filter import LogFilter
from shared.store.partition import Store

pytestmark = pytest.mark.leaves("log")
EVERYTHING = LogFilter()
PARTITIONS = 3
DAY_MS = 86_400_000


@pytest.fixture
async def several(settings: Settings, redis: Client) -> AsyncIterator[Store]:
    """A store of three partitions. ``redis``: takes away what is left."""
    del redis
    store = Store(msgspec.structs.replace(settings, partitions=PARTITIONS), "test")
    yield store
    await store.close()


def event(at_ms: int, message_id: str = "webhook-0-1", kind: str = "running", **more: Any) -> Event:
    told = {"event": kind, "at_ms": at_ms, "topic": "webhook", "message_id": message_id, **more}
    return msgspec.convert(told, Event)


_numbers = itertools.count(1)


async def write(store: Store, at_ms: int, partition: int = 0, entry_id: str = "", **more: Any) -> None:
    """An entry that Redis got in the millisecond in which it happened, where no id says another."""
    one = store.partitions[partition]
    content = msgspec.json.encode(event(at_ms, **more))
    await one.client.execute_command("XADD", one.keys.log, entry_id or f"{at_ms}-{next(_numbers)}", FIELD, content)


async def pages(store: Store, count: int, wanted: LogFilter = EVERYTHING) -> list[list[Event]]:
    """All of them, each of at most so many."""
    found, cursor = list[list[Event]](), None
    while True:
        page = await read(store, wanted, count, cursor)
        assert len(page.entries) <= count
        found.append(page.entries)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def times(store: Store, count: int, wanted: LogFilter = EVERYTHING) -> list[int]:
    return [one.at_ms for page in await pages(store, count, wanted) for one in page]


@pytest.mark.parametrize("count", [1, 7, 1000])
async def test_every_entry_is_on_one_page_newest_first(several: Store, count: int) -> None:
    """Whatever partition it lies in, and however uneven they are filled."""
    chance = random.Random(count)  # noqa: S311 - the same every time
    for at_ms in range(1, 61):
        await write(several, at_ms, chance.choice([0, 1, 1, 1, 1, 2]))

    assert await times(several, count) == list(range(60, 0, -1))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
async def test_entries_of_one_id_are_all_shown_once(several: Store, count: int) -> None:
    """Ids are of a partition; a page may end between two of the same."""
    for entry_id in ("5-0", "5-1", "6-0"):
        for partition in range(PARTITIONS):
            await write(several, 5, partition, entry_id, message_id=f"webhook-{partition}-{entry_id}")

    told = [one.message_id for page in await pages(several, count) for one in page]

    assert len(told) == len(set(told)) == 9


async def test_what_comes_meanwhile_moves_no_page(several: Store) -> None:
    """Nor does what is trimmed: the pages that follow have what was older and is still there."""
    for at_ms in range(1, 31):
        await write(several, at_ms, at_ms % PARTITIONS)
    first = await read(several, EVERYTHING, 10)

    for partition in range(PARTITIONS):
        await write(several, 100 + partition, partition)
        await several.partitions[partition].client.xtrim(several.partitions[partition].keys.log, minid="6", approximate=False)
    second = await read(several, EVERYTHING, 10, first.next_cursor)
    third = await read(several, EVERYTHING, 10, second.next_cursor)

    assert [one.at_ms for one in second.entries] == list(range(20, 10, -1))
    assert [one.at_ms for one in third.entries] == [10, 9, 8, 7, 6]
    assert third.next_cursor is None


ABOUT = About(
    url="https://example.com:8443/hook?a=1", group="all", queue="mail", schedule="daily", caller_ip="192.0.2.1", flow_key="k"
)


@pytest.mark.parametrize(
    "wanted",
    [
        LogFilter(kinds=frozenset({"dead", "retrying"})), LogFilter(topics=frozenset({"other"})),
        LogFilter(message_ids=frozenset({"webhook-0-2", "x"})), LogFilter(urls=frozenset({ABOUT.url})),
        LogFilter(groups=frozenset({"all"})), LogFilter(queues=frozenset({"mail"})), LogFilter(schedules=frozenset({"daily"})),
        LogFilter(labels=frozenset({"red", "blue"})), LogFilter(hosts=frozenset({"example.com"})),
        LogFilter(hosts=frozenset({"example.com:8443"})), LogFilter(paths=frozenset({"/hook"})),
        LogFilter(callers=frozenset({"192.0.2.1"})), LogFilter(flow_keys=frozenset({"k"})),
        LogFilter(from_ms=2, until_ms=2), LogFilter(groups=frozenset({"all"}), queues=frozenset({"mail"}), from_ms=2),
    ],
    ids=lambda wanted: "-".join(name for name, value in wanted._asdict().items() if value),
)  # fmt: skip
async def test_each_filter_finds_its_own(store: Store, wanted: LogFilter) -> None:
    """Of several values of one kind any will do; all kinds have to fit."""
    await write(store, 1, about=About(url="https://[bad", group="one"), labels=("green",))
    await write(store, 2, message_id="webhook-0-2", kind="dead", topic="other", about=ABOUT, labels=("red",))
    await write(store, 3)

    assert await times(store, 10, wanted) == [2]


async def test_a_page_looks_at_a_bounded_number(store: Store) -> None:
    """It comes short, or empty, where few fit, and the next one goes on."""
    pipeline = store.partitions[0].client.pipeline(transaction=False)
    for at_ms in range(1, 2 * MOST_LOOKED_AT + 1):
        pipeline.xadd(store.partitions[0].keys.log, {FIELD: msgspec.json.encode(event(at_ms))}, id=f"{at_ms}-0")
    await pipeline.execute()
    await write(store, 2 * MOST_LOOKED_AT + 1, kind="dead")

    found = await pages(store, 10, LogFilter(kinds=frozenset({"dead"})))

    assert [len(page) for page in found] == [1, 0, 0]
    assert [len(page) for page in await pages(store, 500)] == [500] * 4 + [1]


async def test_a_time_bounds_what_is_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry lies where it was told, which is soon after it happened: far from there nobody looks."""
    for day in range(1, 6):
        for number in range(5):
            await write(store, day * DAY_MS + number)
    monkeypatch.setattr(log, "MOST_LOOKED_AT", 5)
    monkeypatch.setattr(log, "SLICE", 5)

    page = await read(store, LogFilter(from_ms=2 * DAY_MS + 1, until_ms=2 * DAY_MS + 3), 10)

    assert [one.at_ms - 2 * DAY_MS for one in page.entries] == [3, 2, 1]
    assert (await read(store, LogFilter(from_ms=2 * DAY_MS), 10, page.next_cursor)).next_cursor is None


async def test_what_is_told_late_is_found_by_when_it_happened(store: Store) -> None:
    """Such as what waited in an outage."""
    await write(store, 5 * DAY_MS, entry_id=f"{5 * DAY_MS + 600_000}-0")

    assert await times(store, 10, LogFilter(from_ms=5 * DAY_MS, until_ms=5 * DAY_MS)) == [5 * DAY_MS]


async def test_what_happened_in_one_millisecond_is_told_in_the_order_of_a_life(store: Store) -> None:
    """Processes tell it side by side, so entries do not lie so."""
    for kind in ("delivered", "running", "scheduled"):
        await write(store, 1, kind=kind)

    (page,) = await pages(store, 10)

    assert [one.event for one in page] == ["delivered", "running", "scheduled"]


async def test_what_nobody_knows_is_passed_over(store: Store) -> None:
    """An entry of a newer release, or a stranger's."""
    key, client = store.partitions[0].keys.log, store.partitions[0].client
    await write(store, 1)
    await client.execute_command("XADD", key, "2-0", "event", '{"event": "sung", "at_ms": 2, "topic": "webhook"}')
    await client.execute_command("XADD", key, "3-0", "song", "la")

    assert await times(store, 1) == [1]


async def test_an_empty_log_is_one_empty_page(several: Store) -> None:
    """With no cursor."""
    assert await pages(several, 10) == [[]]


@pytest.mark.parametrize("cursor", ["0-0-0", "0-0-9", "0-1-1"])
async def test_before_the_first_entry_there_is_nothing(several: Store, cursor: str) -> None:
    """Also where the cursor is of no page that there was."""
    await write(several, 1)

    assert await read(several, EVERYTHING, 10, cursor) == ([], None)


@pytest.mark.parametrize("cursor", ["9" * 19 + "-" + "9" * 19 + "-0", "2-0-0"])
async def test_a_cursor_may_name_what_is_gone(several: Store, cursor: str) -> None:
    """What is older than that is shown."""
    await write(several, 1)

    assert [one.at_ms for one in (await read(several, EVERYTHING, 10, cursor)).entries] == [1]


@pytest.mark.parametrize("cursor", ["", "x", "1-2", "1-2-3-4", "1--3", "-1-2-3", "1-2-x", f"{10**19}-1-1", "1-2-\u0663"])
async def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    """Whatever else it is."""
    with pytest.raises(InvalidField, match="cursor: expected the next_cursor"):
        await read(store, EVERYTHING, 10, cursor)
