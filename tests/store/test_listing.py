"""Lists of messages: every state, any order, any page size, and what changes meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from shared.errors import InvalidField
from shared.record import Options
from shared.settings import Settings
from shared.store import messages
from shared.store.connect import Client
from shared.store.listing.filter import Filter, Order, State
from shared.store.listing.pages import MOST_LOOKED_AT, list_messages
from tests.store.stage import HOUR_MS, Stage, finished, id_of, open_stage, retry

pytestmark = pytest.mark.leaves("dead", "due:", "index", "stream:", "finished", "errors:", "labels")
ORDERS: tuple[Order, ...] = ("oldest", "newest")


@pytest.fixture(autouse=True)
async def known_topics(stage: Stage) -> None:
    """Those of the stage."""
    await stage.partition.register_topics(["alpha", "beta"])


async def pages(stage: Stage, wanted: Filter, limit: int, order: Order = "oldest") -> list[list[str]]:
    """The ids of every page to the end."""
    found, cursor = [], None
    for _ in range(1000):
        page = await list_messages(stage.store, wanted, limit, cursor, order=order)
        found.append([view.id for view in page.views])
        assert len(page.views) <= limit
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


async def listed(stage: Stage, wanted: Filter, limit: int = 7, order: Order = "oldest") -> list[str]:
    return [message_id for page in await pages(stage, wanted, limit, order) for message_id in page]


async def test_nothing_is_an_empty_page(stage: Stage) -> None:
    """Of any state, and no page after it."""
    for state in ("waiting", "ready", "running", "dead", "delivered"):
        page = await list_messages(stage.store, Filter(state=state), 10)
        assert (page.views, page.next_cursor, page.looked_at) == ([], None, 0)


async def _scheduled(stage: Stage) -> list[str]:
    now_ms = await stage.now_ms()
    return [*await stage.add(*(now_ms + HOUR_MS + n for n in range(20))), *await stage.add(now_ms + HOUR_MS + 5, topic="beta")]


async def _retrying(stage: Stage) -> list[str]:
    entries = await stage.running(9)
    await stage.settle(*(retry(entry, delay_ms=HOUR_MS) for entry in entries))
    return [id_of(entry) for entry in entries]


async def _ready(stage: Stage) -> list[str]:
    return [*await stage.ready(20), *await stage.ready(3, "beta")]


async def _running(stage: Stage) -> list[str]:
    return [id_of(entry) for entry in [*await stage.running(20), *await stage.running(3, "beta")]]


async def _dead(stage: Stage) -> list[str]:
    return [await stage.dead() for _ in range(9)]


async def _delivered(stage: Stage) -> list[str]:
    entries = await stage.running(20)
    await stage.settle(*(finished(entry) for entry in entries))
    return [id_of(entry) for entry in entries]


async def _cancelled(stage: Stage) -> list[str]:
    now_ms = await stage.now_ms()
    ids = await stage.add(*(now_ms + HOUR_MS + n for n in range(9)))
    for one in ids:
        await messages.cancel(stage.store, one)
    return ids


STATES: dict[State, Callable[[Stage], Awaitable[list[str]]]] = {
    "running": _running, "retrying": _retrying, "dead": _dead, "delivered": _delivered, "cancelled": _cancelled,
    "scheduled": _scheduled, "ready": _ready,
}  # fmt: skip
"""In an order in which none disturbs those before it."""


@pytest.mark.parametrize("order", ORDERS)
async def test_each_state_lists_its_own(stage: Stage, order: Order) -> None:
    """With all states there at once: each message is in the list of its state, once, whatever the size of the pages."""
    ids = {state: sorted(await make(stage)) for state, make in STATES.items()}

    for limit in (1, 3, 1000):
        for state, expected in ids.items():
            assert sorted(await listed(stage, Filter(state=state), limit, order)) == expected, (state, limit)
    assert sorted(await listed(stage, Filter())) == sorted(ids["scheduled"] + ids["retrying"])
    for state, expected in ids.items():
        page = await list_messages(stage.store, Filter(state=state), 1000)
        assert {view.status for view in page.views} == {state}
        assert [await stage.status(one) for one in expected] == [state] * len(expected)


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_pages_are_in_the_order_of_the_due_times(stage: Stage, limit: int) -> None:
    """From two topics and three partitions, with many of one millisecond and of one score; backwards as well."""
    async with open_stage(msgspec.structs.replace(stage.store.settings, partitions=3)) as three:
        at_ms, expected = await stage.now_ms() + HOUR_MS, list[tuple[int, int, str]]()
        for number, partition in enumerate(three.store.partitions):
            three.partition, three.keys = partition, partition.keys
            await partition.register_topics(["alpha", "beta"])
            for topic in ("alpha", "beta"):
                for offset in (0, 0, 1, 2):
                    (made,) = await three.add(at_ms + offset, topic=topic, bits=[(number % 2) << 50 | len(expected)])
                    expected.append((at_ms + offset, number % 2, made))
        expected.sort()

        assert await listed(three, Filter(), limit) == [one for *_, one in expected]
        assert await listed(three, Filter(), limit, "newest") == [one for *_, one in reversed(expected)]


@pytest.mark.parametrize("order", ORDERS)
async def test_what_comes_and_goes_between_pages_shifts_nothing(stage: Stage, order: Order) -> None:
    """The ones around the cursor are cancelled, others arrive before and behind it: what stayed is there once."""
    at_ms = await stage.now_ms() + HOUR_MS
    ids = await stage.add(*(at_ms + 10 * n for n in range(20)))
    first = await list_messages(stage.store, Filter(), 8, order=order)
    for gone in (first.views[-1].id, first.views[-2].id, first.views[0].id):
        await messages.cancel(stage.store, gone)
    (late,) = await stage.add(at_ms - 1 if order == "newest" else at_ms + 1000)
    await stage.add(at_ms + 1000 if order == "newest" else at_ms - 1)

    found, cursor = [view.id for view in first.views], first.next_cursor
    while cursor is not None:
        page = await list_messages(stage.store, Filter(), 5, cursor, order=order)
        found += [view.id for view in page.views]
        cursor = page.next_cursor

    assert sorted(found) == sorted([*ids, late])


async def test_many_of_one_score_are_paged_too(stage: Stage, redis: Client) -> None:
    """A cursor points between messages, not between times: far more of one score than a page reads at once."""
    ids = [f"alpha-0-{number:021}" for number in range(700)]
    await redis.zadd(stage.keys.finished_expiry, dict.fromkeys(ids, 5))
    await redis.hset(
        stage.keys.finished, mapping=dict.fromkeys(ids, '{"status":"expired","due_ms":1,"settled_ms":2,"attempts":0}')
    )

    assert await listed(stage, Filter(state="expired"), 90) == ids
    assert await listed(stage, Filter(state="expired"), 90, "newest") == ids[::-1]


async def test_filters(stage: Stage) -> None:
    """Each alone, and together: topic, label, the ends of the ranges included."""
    at_ms = await stage.now_ms() + HOUR_MS
    first, second, third = await stage.add(at_ms, at_ms + 1, at_ms + 2, options=Options(labels=("red", "blue")))
    (other,) = await stage.add(at_ms + 1, topic="beta", options=Options(labels=("red",)))
    (plain,) = await stage.add(at_ms + 3)

    assert await listed(stage, Filter(topic="beta")) == [other]
    assert await listed(stage, Filter(label="blue")) == [first, second, third]
    assert await listed(stage, Filter(label="re")) == []
    assert await listed(stage, Filter(due_from=at_ms + 1, due_until=at_ms + 2, topic="alpha")) == [second, third]
    assert sorted(await listed(stage, Filter(label="red", due_until=at_ms + 1))) == sorted([first, second, other])
    assert await listed(stage, Filter(due_from=at_ms + 3)) == [plain]
    assert await listed(stage, Filter(created_until=0)) == []
    assert len(await listed(stage, Filter(created_from=1, created_until=1))) == 5


async def test_what_else_has_to_hold_is_asked_of_what_fits(stage: Stage) -> None:
    """A page is filled with what holds, and the next one goes on after the last of them."""
    now_ms = await stage.now_ms()
    ids = await stage.add(*(now_ms + HOUR_MS + n for n in range(9)))
    odd = set(ids[1::2])

    first = await list_messages(stage.store, Filter(), 3, also=lambda view: view.id in odd)
    second = await list_messages(stage.store, Filter(), 3, first.next_cursor, also=lambda view: view.id in odd)

    assert [view.id for page in (first, second) for view in page.views] == ids[1::2]
    assert second.next_cursor is None


async def test_dead_letters_are_found_by_their_error_and_time_of_death(stage: Stage, redis: Client) -> None:
    """A part of the reason or of the last error; both ends of the range included."""
    ids = [await stage.dead() for _ in range(3)]
    await redis.zadd(stage.keys.dead, {one: 10 + place for place, one in enumerate(ids)})

    assert await listed(stage, Filter(state="dead", error="spen")) == ids
    assert await listed(stage, Filter(state="dead", error="nowhere")) == []
    assert await listed(stage, Filter(state="dead", died_from=11, died_until=11)) == [ids[1]]


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_letters_without_a_record_do_not_end_the_list(stage: Stage, redis: Client, limit: int) -> None:
    """What somebody deleted by hand in the middle hides nothing behind it."""
    ids = [await stage.dead() for _ in range(5)]
    await redis.zadd(stage.keys.dead, {message_id: place for place, message_id in enumerate(ids)})
    await redis.hdel(stage.keys.dead_records, ids[2], ids[3])

    assert await listed(stage, Filter(state="dead"), limit) == [ids[0], ids[1], ids[4]]


async def test_a_page_looks_at_a_bounded_number_with_a_bounded_number_of_commands(
    stage: Stage, redis: Client, prefix: str
) -> None:
    """Where nothing fits it comes back empty, with a cursor, and the next ones come to the end."""
    at_ms = await stage.now_ms() + HOUR_MS
    for _ in range(5):
        await stage.add(*(at_ms + n for n in range(499)))
    async with redis.monitor() as heard:
        page = await list_messages(stage.store, Filter(created_until=0, topic="alpha"), 50)
        await redis.echo("the page is read")
        commands = 0
        while "the page is read" not in (command := (await heard.next_command())["command"]):
            commands += prefix in command  # other tests' services may use the same server

    assert (page.views, page.looked_at, page.next_cursor is None) == ([], MOST_LOOKED_AT, False)
    assert 5 < commands < 40
    assert [len(one) for one in await pages(stage, Filter(created_until=0, topic="alpha"), 50)] == [0, 0, 0]


async def test_a_topic_that_left_the_settings_is_listed(stage: Stage, settings: Settings) -> None:
    """Its messages are still there; whoever lists all sees them."""
    await stage.partition.register_topics(["gone"])
    (made,) = await stage.add(await stage.now_ms() + HOUR_MS, topic="gone")

    assert "gone" not in settings.all_topics()
    assert await listed(stage, Filter()) == [made]
    await stage.client.srem(stage.keys.topics, "gone")


async def test_a_stream_without_a_group_is_listed(stage: Stage, redis: Client) -> None:
    """Somebody destroyed it: what lies there is held by nobody."""
    ids = await stage.ready(3)
    await redis.xgroup_destroy(stage.keys.stream("alpha"), "consumers")

    assert await listed(stage, Filter(state="ready")) == ids


@pytest.mark.parametrize("cursor", ["", "x", "1", "~", "1~", "~x", "-1~x", "1.~x", "1~ ", "1" * 16 + "~x", "1~" + "x" * 201])
async def test_a_cursor_that_is_none_is_refused(stage: Stage, cursor: str) -> None:
    """What no page gave is a caller's mistake."""
    for state in ("waiting", "dead"):
        with pytest.raises(InvalidField, match="cursor: expected the next_cursor"):
            await list_messages(stage.store, Filter(state=state), 10, cursor)


async def test_a_cursor_of_another_state_is_refused_or_harmless(stage: Stage) -> None:
    """That of a ZSET is none in a stream."""
    await stage.ready(3)
    with pytest.raises(InvalidField, match="of the same state"):
        await list_messages(stage.store, Filter(state="ready"), 10, "5~alpha-0-x")
