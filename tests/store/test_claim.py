"""claim.lua, through ``Deliveries.claim``."""

from __future__ import annotations

import pytest

from shared.errors import Outage
from shared.store.connect import Client
from shared.store.delivery import SCAN_COUNT
from shared.store.entries import Entry
from tests.store.stage import Stage, contents, id_of, retry

LEASE_MS, CAP_MS = 10_000, 60_000

pytestmark = pytest.mark.leaves("index", "stream:")


async def claim(
    stage: Stage, entry: Entry, cursor: str = "-", room: int = 10, suspects: int = 10, cap_ms: int = CAP_MS
) -> tuple[str, list[Entry]]:
    return await stage.worker("w2").claim(entry.stream, cursor, LEASE_MS, cap_ms, room, suspects)


async def stuck(stage: Stage, count: int, deliveries: int = 1, idle_ms: int = 3_600_000) -> list[Entry]:
    entries = await stage.running(count)
    for entry in entries:
        await stage.let_idle(entry, idle_ms, deliveries)
    return entries


@pytest.mark.parametrize(
    ("deliveries", "wait_ms"), [(1, 10_000), (2, 20_000), (3, 40_000), (4, 60_000), (5, 60_000), (1000, 60_000)]
)
async def test_a_lease_is_taken_after_its_backoff_and_not_before(stage: Stage, deliveries: int, wait_ms: int) -> None:
    """The wait is the lease, doubled with each loss, at most the cap."""
    (entry,) = await stuck(stage, 1, deliveries, wait_ms - 5_000)

    assert await claim(stage, entry) == ("-", [])
    await stage.let_idle(entry, wait_ms, deliveries)
    _, taken = await claim(stage, entry)

    assert [(one.entry_id, one.deliveries) for one in taken] == [(entry.entry_id, deliveries + 1)]


async def test_a_cap_below_the_lease_does_not_shorten_it(stage: Stage) -> None:
    """Nobody's message is taken while the lease runs, whatever the cap says."""
    (entry,) = await stuck(stage, 1, 3, LEASE_MS - 5_000)

    assert await claim(stage, entry, cap_ms=200) == ("-", [])
    await stage.let_idle(entry, LEASE_MS, 3)

    assert len((await claim(stage, entry, cap_ms=200))[1]) == 1


async def test_a_claim_that_was_held_up_on_its_way_takes_nothing(stage: Stage) -> None:
    """Behind a frozen server it stands before the renewals of those who still run what it would take."""
    (entry,) = await stuck(stage, 1)
    clock = stage.partition.clock
    clock._offset_us -= LEASE_MS // 2 * 1000  # as if it had been sent half a lease ago

    with pytest.raises(Outage, match="held up"):
        await claim(stage, entry)
    await stage.partition.synchronise()
    _, taken = await claim(stage, entry)

    assert [one.entry_id for one in taken] == [entry.entry_id]


@pytest.mark.leaves("index", "stream:", "errors:")
async def test_a_claimed_delivery_is_whole_and_its_lease_is_new(stage: Stage) -> None:
    """It has the record, due time, attempts, deferrals, and one delivery more; the pending list names its new owner."""
    (first,) = await stage.running()
    await stage.settle(retry(first, attempts=2, deferrals=3))
    await stage.dispatch()
    (entry,) = await stage.read()
    await stage.let_idle(entry, 3_600_000, 1)

    _, (taken,) = await claim(stage, entry)

    assert (taken.record, taken.due_ms, taken.attempts, taken.deferrals) == (entry.record, entry.due_ms, 2, 3)
    assert await stage.pending() == [(entry.entry_id, "w2", 2)]
    assert await claim(stage, entry) == ("-", []), "a lease that was just taken is young"


@pytest.mark.parametrize(("lost", "attempts"), [(1, 0), (2, 1), (3, 2), (6, 5)])
async def test_every_loss_but_the_first_is_an_attempt(stage: Stage, lost: int, attempts: int) -> None:
    """Whether the first lost delivery had started is not known, so it costs nothing; a claimed one starts at once."""
    (entry,) = await stuck(stage, 1, lost)

    _, (taken,) = await claim(stage, entry)

    assert (taken.deliveries, taken.attempts) == (lost + 1, attempts)


async def test_no_more_are_taken_than_there_is_room(stage: Stage) -> None:
    """The rest stays where it was, and the cursor at the first that was not looked at."""
    entries = await stuck(stage, 5)

    cursor, taken = await claim(stage, entries[0], room=2)
    rest = await claim(stage, entries[0], cursor)

    assert [one.entry_id for one in taken] == [one.entry_id for one in entries[:2]]
    assert cursor == entries[2].entry_id
    assert (rest[0], [one.entry_id for one in rest[1]]) == ("-", [one.entry_id for one in entries[2:]])


async def test_without_room_the_cursor_says_whether_one_is_stuck(stage: Stage) -> None:
    """A bare entry id where one could be claimed; the end of the list where none could."""
    (entry,) = await stuck(stage, 1, 1, LEASE_MS - 5_000)
    assert await claim(stage, entry, room=0) == ("-", [])

    await stage.let_idle(entry, LEASE_MS, 1)

    assert await claim(stage, entry, room=0) == (entry.entry_id, [])


async def test_the_cursor_goes_over_a_long_list_page_by_page(stage: Stage) -> None:
    """Living leases at the front do not hide a stuck one at the back, and no call looks at more than a page."""
    entries = await stage.running(2 * SCAN_COUNT + 10)
    await stage.let_idle(entries[-1], 3_600_000, 1)

    first = await claim(stage, entries[0])
    second = await claim(stage, entries[0], first[0])
    third = await claim(stage, entries[0], second[0])

    assert first == (f"({entries[SCAN_COUNT - 1].entry_id}", [])
    assert second == (f"({entries[2 * SCAN_COUNT - 1].entry_id}", [])
    assert (third[0], [one.entry_id for one in third[1]]) == ("-", [entries[-1].entry_id])


async def test_a_list_of_exactly_one_page_ends(stage: Stage) -> None:
    """A full page is followed by an empty one, and that is the end."""
    entries = await stage.running(SCAN_COUNT)

    first = await claim(stage, entries[0])

    assert first == (f"({entries[-1].entry_id}", [])
    assert await claim(stage, entries[0], first[0]) == ("-", [])


async def test_messages_that_may_kill_their_worker_are_taken_one_by_one(stage: Stage) -> None:
    """What was lost twice is taken only as far as suspects are wanted; what was lost once is taken beside it."""
    suspects = await stuck(stage, 3, deliveries=2)
    (fresh,) = await stuck(stage, 1, deliveries=1)

    none = await claim(stage, fresh, suspects=0)
    one = await claim(stage, fresh, suspects=1)
    rest = await claim(stage, fresh, suspects=5)

    assert [taken.entry_id for taken in none[1]] == [fresh.entry_id]
    assert [taken.entry_id for taken in one[1]] == [suspects[0].entry_id]
    assert [taken.entry_id for taken in rest[1]] == [suspects[1].entry_id, suspects[2].entry_id]


async def test_a_lease_whose_entry_was_deleted_is_dropped(stage: Stage, redis: Client) -> None:
    """A pending entry without content holds up nobody: its lease ends, and its neighbour is taken."""
    gone, other = await stuck(stage, 2)
    await redis.xdel(gone.stream, gone.entry_id)

    _, taken = await claim(stage, gone, room=1)

    assert [id_of(one) for one in taken] == [id_of(other)]
    assert await stage.pending() == [(other.entry_id, "w2", 2)]


async def test_nothing_stuck_writes_nothing(stage: Stage, redis: Client, prefix: str) -> None:
    """A scan over living leases changes none of them."""
    entries = await stage.running(3)
    before = await contents(redis, prefix)

    assert await claim(stage, entries[0]) == ("-", [])

    assert await contents(redis, prefix) == before


async def test_a_missing_group_is_made_again(stage: Stage, redis: Client) -> None:
    """After somebody removed the stream, a claim finds nothing, and the group is there for the next read."""
    (entry,) = await stage.running()
    await redis.delete(entry.stream)

    assert await claim(stage, entry) == ("-", [])

    assert len(await redis.xinfo_groups(entry.stream)) == 1
