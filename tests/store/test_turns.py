"""Ordered messages of one due time come in the order in which they were accepted."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import msgspec
import pytest

from shared.ids import make_id, ordered_bits, parse_id, random_bits
from shared.record import Options
from shared.store.accept import _store_rest, schedule
from shared.store.chunks import CHUNK_MESSAGES, Draft
from shared.store.partition import Store
from shared.store.storing import Stored
from shared.store.turns import Turns
from tests.store.stage import Stage

FAR_MS = 2_000_000_000_000
ORDERED = Options(flow_key="a", ordered=True)


def drafts(count: int, options: Options = ORDERED, **more: int) -> list[Draft]:
    return [Draft("alpha", "text", b"x", due_ms=None if more else FAR_MS, options=options, **more) for _ in range(count)]


async def stored(stage: Stage) -> list[str]:
    """Ids in the order in which they are due."""
    members = await stage.client.zrange(stage.keys.due("alpha:limited"), 0, -1)
    return [member.split(b" ")[0].decode() for member in members]


@pytest.mark.leaves("due:", "idempotency:")
async def test_the_order_is_that_of_acceptance(stage: Stage) -> None:
    """In a batch of several chunks, from one request to the next, with a key and without, whatever their sizes."""
    requests = [1, 3, CHUNK_MESSAGES + 7, 1, 2]
    accepted: list[str] = []
    for number, count in enumerate(requests):
        found = await schedule(stage.store, drafts(count), f"key-{number}" if number % 2 else None)
        accepted += found.ids

    assert await stored(stage) == accepted
    assert len({parsed.score for one in accepted if (parsed := parse_id(one))}) <= 2, "the score alone does not tell them apart"


@pytest.mark.leaves("due:")
async def test_the_order_of_those_that_are_due_at_once_is_that_of_acceptance(stage: Stage) -> None:
    """Whether two fall into one millisecond or not."""
    accepted = [(await schedule(stage.store, drafts(1, delay_ms=60_000))).ids[0] for _ in range(200)]

    assert await stored(stage) == accepted


@pytest.mark.parametrize("in_turn", [True, False])
async def test_chunks_that_wait_to_be_safe_go_one_after_the_other(*, in_turn: bool) -> None:
    """Side by side a later one could be there, and be dispatched, before an earlier one; without an order they may."""
    begun, at_work, most = [], 0, 0

    async def store_chunk(number: int) -> Stored:
        nonlocal at_work, most
        begun.append(number)
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return Stored(b"stored", "", "fsync", None)

    assert await _store_rest(store_chunk, 5, await store_chunk(0), "fsync", in_turn=in_turn) == "fsync"
    assert begun == [0, 1, 2, 3, 4]
    assert most == (1 if in_turn else 4)


@pytest.mark.leaves("due:", "idempotency:")
async def test_a_repeat_has_the_ids_of_the_first_try(stage: Stage) -> None:
    """Also after others were accepted, and from another process; ordered and other messages together."""
    mixed = [*drafts(3), *drafts(2, Options(flow_key="a")), *drafts(300)]
    first = await schedule(stage.store, mixed, "a-key")
    await schedule(stage.store, drafts(5))
    other = Store(stage.store.settings, "other")
    again = await schedule(other, mixed, "a-key")
    await other.close()

    assert again.deduplicated
    assert again.ids == first.ids
    assert len(await stored(stage)) == len(mixed) + 5


def test_numbers_go_on_from_request_to_request() -> None:
    """A clock that is a little behind is waited for: no request is accepted before the one before it."""
    turns = Turns()
    taken = [turns.take(count, now_ms) for count, now_ms in ((1, 1000), (10, 1001), (2, 999), (1, 1002), (1, 2))]

    numbers = [int.from_bytes(seed[:4], "big") for seed, _ in taken]
    assert [later - earlier for earlier, later in pairwise(numbers)] == [1, 10, 2, 1]
    assert [now_ms for _, now_ms in taken] == [1000, 1001, 1001, 1002, 2]
    assert numbers[0] < 2**31


def test_what_is_not_the_order_is_random() -> None:
    """29 bits of an id, of which no other request's tells anything."""
    seeds = [Turns().take(1, 1)[0] for _ in range(2)]
    assert seeds[0][4:] != seeds[1][4:]
    seed = b"\xff\xff\xff\xff12345678"
    bits = [ordered_bits(seed, position, one) for position, one in enumerate(random_bits(seed, 3))]

    assert [one >> 29 for one in bits] == [2**32 - 1, 0, 1], "past the last number it begins again"
    assert len({one & 2**29 - 1 for one in bits}) == 3
    assert make_id("t", 0, FAR_MS, bits[1]) < make_id("t", 0, FAR_MS, bits[2])


@pytest.mark.leaves("due:")
async def test_others_share_nothing_with_it(stage: Stage) -> None:
    """Messages that are not ordered have ids of random bits, as ever."""
    found = await schedule(stage.store, drafts(50, msgspec.structs.replace(ORDERED, ordered=False)))

    assert sorted(found.ids) != found.ids
