"""The list of dead letters."""

from __future__ import annotations

import pytest

from shared.errors import InvalidField
from shared.store.connect import Client
from shared.store.dead_letters import list_dead_letters
from tests.store.stage import Stage

pytestmark = pytest.mark.leaves("dead")


async def pages(stage: Stage, limit: int, topic: str | None = None) -> list[list[str]]:
    """The ids of every page to the end."""
    found, cursor = [], None
    for _ in range(100):
        page = await list_dead_letters(stage.store, limit, cursor, topic)
        found.append([letter.id for letter in page.letters])
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


async def test_no_letters_are_an_empty_page(stage: Stage) -> None:
    """Nothing, and no page after it."""
    page = await list_dead_letters(stage.store, 10, None, None)

    assert (page.letters, page.next_cursor, page.total) == ([], None, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_go_from_the_newest_to_the_oldest(stage: Stage, redis: Client, limit: int) -> None:
    """Each letter is on one page, also those that died within one millisecond."""
    ids = [await stage.dead() for _ in range(6)]
    deaths = dict(zip(ids, (5, 5, 5, 3, 9, 1), strict=True))
    await redis.zadd(stage.keys.dead, deaths)

    found = await pages(stage, limit)

    listed = [message_id for page in found for message_id in page]
    assert listed == sorted(ids, key=lambda message_id: (deaths[message_id], message_id), reverse=True)
    assert all(len(page) <= limit for page in found)
    assert (await list_dead_letters(stage.store, limit, None, None)).total == 6


async def test_one_topics_letters_can_be_listed(stage: Stage) -> None:
    """A page may come short, and no letter is left out."""
    alpha = [await stage.dead("alpha") for _ in range(2)]
    beta = [await stage.dead("beta") for _ in range(2)]

    assert {one for page in await pages(stage, 1, "alpha") for one in page} == set(alpha)
    assert {one for page in await pages(stage, 3, "beta") for one in page} == set(beta)


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_letters_without_a_record_do_not_end_the_list(stage: Stage, redis: Client, limit: int) -> None:
    """What somebody deleted by hand in the middle hides nothing behind it."""
    ids = [await stage.dead() for _ in range(5)]
    await redis.zadd(stage.keys.dead, {message_id: place for place, message_id in enumerate(ids)})
    await redis.hdel(stage.keys.dead_records, ids[2], ids[3])

    listed = [message_id for page in await pages(stage, limit) for message_id in page]

    assert listed == [ids[4], ids[1], ids[0]]


@pytest.mark.parametrize("cursor", ["", "x", "1", "0.x.y", "9..", "-1..", "0.5", "+0.5.x", "0.1_0.x"])
async def test_a_cursor_that_is_none_is_refused(stage: Stage, cursor: str) -> None:
    """What no page gave is a caller's mistake."""
    with pytest.raises(InvalidField, match="cursor: expected the next_cursor"):
        await list_dead_letters(stage.store, 10, cursor, None)
