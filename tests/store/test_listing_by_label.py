"""Lists of messages with a label that are not over: the label index is walked, and each is looked up where it lies."""

from __future__ import annotations

import msgspec
import pytest

from shared.errors import InvalidField
from shared.record import Options
from shared.store import labels, messages
from shared.store.connect import Client
from shared.store.listing.filter import Filter, Order, State
from shared.store.listing.pages import MOST_LOOKED_UP, list_messages
from tests.store.stage import HOUR_MS, Stage, contents, dead, finished, open_stage, retry
from tests.store.test_listing import ORDERS, listed, pages

pytestmark = pytest.mark.leaves("labels", "due:", "index", "stream:", "dead", "errors:")
RED = Options(labels=("red",))


async def in_every_state(stage: Stage) -> dict[State, list[str]]:
    """With the label ``red``, beside others; each id a little later than the one before."""
    ids = await stage.add(*range(1, 9), options=RED)
    await stage.add(*range(10, 13), options=Options(labels=("re", "redder")))
    await stage.dispatch()
    entries = await stage.read(6)
    await stage.settle(*(retry(entry, delay_ms=HOUR_MS, labels=("red",)) for entry in entries[:2]))
    await stage.settle(finished(entries[2], labels=("red",)), dead(entries[3], labels=("red",)))
    at_ms = await stage.now_ms() + HOUR_MS
    later = await stage.add(*(at_ms + n for n in range(3)), topic="beta", options=RED)
    return {
        "retrying": ids[:2], "running": ids[4:6], "ready": ids[6:], "scheduled": later, "waiting": [*ids[:2], *later],
        "dead": [ids[3]], "delivered": [],
    }  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_each_state_is_listed_by_label(stage: Stage, order: Order, limit: int) -> None:
    """In the order of the times first asked for, which a retry does not change."""
    for state, ids in (await in_every_state(stage)).items():
        expected = ids if order == "oldest" else ids[::-1]
        assert await listed(stage, Filter(state=state, label="red"), limit, order) == expected, state
    assert len(await listed(stage, Filter(label="red", topic="beta"), limit)) == 3
    assert await listed(stage, Filter(label="green"), limit) == []
    assert await listed(stage, Filter(label="red\t"), limit) == []


@pytest.mark.parametrize("order", ORDERS)
async def test_what_comes_and_goes_between_pages_shifts_nothing(stage: Stage, order: Order) -> None:
    """Over three partitions and two topics, many of one time; those around the cursor go, or move to another time."""
    async with open_stage(msgspec.structs.replace(stage.store.settings, partitions=3)) as three:
        at_ms, ids = await stage.now_ms() + HOUR_MS, list[str]()
        for number, partition in enumerate(three.store.partitions):
            three.partition, three.keys = partition, partition.keys
            for topic in ("alpha", "beta"):
                bits = [(number % 2) << 50 | n for n in range(5)]
                ids += await three.add(*[at_ms] * 5, topic=topic, bits=bits, options=RED)
        first = await list_messages(three.store, Filter(label="red"), 8, order=order)
        gone = [first.views[0].id, first.views[-1].id]
        await messages.cancel(three.store, gone[0])
        await messages.cancel(three.store, gone[1])
        for view in first.views[1:3]:
            await messages.change(three.store, view.id, due_ms=at_ms + 5)

        found, cursor = [view.id for view in first.views], first.next_cursor
        while cursor is not None:
            page = await list_messages(three.store, Filter(label="red"), 3, cursor, order=order)
            found += [view.id for view in page.views]
            cursor = page.next_cursor

        assert sorted(found) == sorted(ids)
        places = [one[-21:] for one in found]
        assert places == sorted(places, reverse=order == "newest")


async def test_a_few_among_many_are_one_small_page(stage: Stage, redis: Client) -> None:
    """However many wait beside them."""
    at_ms = await stage.now_ms() + HOUR_MS
    for start in range(0, 10_000, 500):
        await stage.add(*(at_ms + n for n in range(start, start + 500)))
    ids = await stage.add(at_ms + 3, at_ms + 5_000, at_ms + 9_999, options=RED)
    await list_messages(stage.store, Filter(label="red"), 50)
    before = await evaluations(redis)

    page = await list_messages(stage.store, Filter(label="red"), 50)

    assert ([view.id for view in page.views], page.next_cursor, page.looked_at) == (ids, None, 3)
    assert await evaluations(redis) - before == 3


async def evaluations(redis: Client) -> int:
    return int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])


async def test_a_page_looks_up_a_bounded_number(stage: Stage) -> None:
    """What does not fit, and what is not there at all, counts too."""
    at_ms = await stage.now_ms() + HOUR_MS
    await stage.add(*(at_ms + n for n in range(300)), options=RED)
    await stage.client.delete(stage.keys.due("alpha"))
    last = await stage.add(at_ms + 1_000, options=RED)

    found = await pages(stage, Filter(label="red"), 500)

    assert found == [[], last]
    assert MOST_LOOKED_UP < 300


async def tidied(stage: Stage, count: int) -> int:
    after, removed = b"", 0
    while True:
        after, more = await labels.tidy(stage.partition, after, count)
        removed += more
        if not after:
            return removed


@pytest.mark.parametrize("count", [1, 3, 100])
async def test_what_a_stranger_deleted_is_tidied_away(stage: Stage, redis: Client, prefix: str, count: int) -> None:
    """Whatever lives keeps its labels; so does a dead letter that may come back."""
    lives = await in_every_state(stage)
    kept = await contents(redis, prefix)
    (gone,) = await stage.add(1, topic="beta", options=Options(labels=("red", "zebra")))
    await stage.client.zremrangebyrank(stage.keys.due("beta"), 0, 0)
    over, letter = f"red\t{gone[-21:]}\t", f"red\t{lives['dead'][0][-21:]}\t{lives['dead'][0]}"
    foreign = ["red", "red\tx", "\t\t", f"red\t\t{gone}", f"{over}alpha-7-{gone[-21:]}", b"red\t\xff\t\xff", letter]
    await stage.client.zadd(stage.keys.labels, dict.fromkeys(foreign, 0))

    assert await listed(stage, Filter(label="red"), 2) == lives["waiting"]
    assert await tidied(stage, count) == 2 + len(foreign) - 1
    assert await tidied(stage, count) == 0

    await stage.client.zrem(stage.keys.labels, letter)
    assert await contents(redis, prefix) == kept


@pytest.mark.parametrize("order", ORDERS)
async def test_what_a_stranger_wrote_ends_no_list(stage: Stage, order: Order) -> None:
    """However much of it stands before, between and after."""
    (one,) = await stage.add(1_000_000, options=RED)
    foreign = [f"red\t{sign}{number:03}:x" for sign in ("!", one[-21:], "~") for number in range(200)]
    await stage.client.zadd(stage.keys.labels, dict.fromkeys([*foreign, f"red\t{one[-21:]}:{one}"], 0))

    assert await listed(stage, Filter(label="red"), 5, order) == [one]


@pytest.mark.parametrize("cursor", ["x", "5~alpha-0-x", "5~00000000000000000000/0/normal/alpha"])
async def test_a_cursor_of_another_list_is_refused(stage: Stage, cursor: str) -> None:
    """What no page with a label gave."""
    with pytest.raises(InvalidField, match="cursor: expected the next_cursor"):
        await list_messages(stage.store, Filter(label="red"), 10, cursor)


async def test_a_cursor_of_this_list_elsewhere_is_refused_or_harmless(stage: Stage) -> None:
    """That of an index is none in a stream."""
    await stage.add(1, 2, 3, options=RED)
    await stage.dispatch()
    cursor = (await list_messages(stage.store, Filter(label="red", state="ready"), 1)).next_cursor
    assert cursor is not None

    assert (await list_messages(stage.store, Filter(), 10, cursor)).views == []
    with pytest.raises(InvalidField, match="of the same state"):
        await list_messages(stage.store, Filter(state="ready"), 10, cursor)
