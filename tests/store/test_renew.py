"""renew.lua, through ``Deliveries.renew``."""

from __future__ import annotations

import pytest

from shared.store.connect import Client
from shared.store.entries import Lease
from shared.store.keys import GROUP
from tests.store.stage import Stage, contents, finished, lease_of

pytestmark = pytest.mark.leaves("index", "stream:")


async def idle_ms(redis: Client, stream: str) -> dict[str, int]:
    rows = await redis.xpending_range(stream, GROUP, "-", "+", 100)
    return {row["message_id"].decode(): row["time_since_delivered"] for row in rows}


async def test_a_renewed_lease_is_young_and_its_count_unchanged(stage: Stage, redis: Client) -> None:
    """Renewal starts the lease's time anew and raises no counter; leases that are not named grow older."""
    held, other = await stage.running(2)
    for one in (held, other):
        await stage.let_idle(one, 50_000, 3)

    assert await stage.worker().renew([lease_of(held, 3)]) == [True]

    ages = await idle_ms(redis, held.stream)
    assert ages[held.entry_id] < 25_000 < ages[other.entry_id]
    assert await stage.pending() == [(held.entry_id, "w1", 3), (other.entry_id, "w1", 3)]


@pytest.mark.parametrize("fence", ["another worker", "another delivery", "settled", "no stream", "unknown entry"])
async def test_a_lost_lease_is_said_to_be_lost_and_left_alone(stage: Stage, redis: Client, prefix: str, fence: str) -> None:
    """A lease that is another's is not taken back, and what is over does not come to life."""
    (entry,) = await stage.running()
    lease = lease_of(entry)
    if fence == "another worker":
        await stage.let_idle(entry, 0, 1, worker="w2")
    elif fence == "another delivery":
        await stage.let_idle(entry, 0, 2)
    elif fence == "settled":
        await stage.settle(finished(entry))
    elif fence == "no stream":
        await redis.delete(entry.stream)
    else:
        lease = Lease(entry.stream, "1-1", 1)
    before = await contents(redis, prefix)

    assert await stage.worker().renew([lease]) == [False]

    assert await contents(redis, prefix) == before


async def test_leases_of_several_streams_are_renewed_at_once(stage: Stage, redis: Client) -> None:
    """The answers are in the order of the leases; a lost one among them holds up nobody."""
    first, lost = await stage.running(2)
    (other,) = await stage.running(topic="beta")
    await stage.let_idle(lost, 0, 1, worker="w2")
    for one in (first, other):
        await stage.let_idle(one, 50_000, 1)

    assert await stage.worker().renew([lease_of(one) for one in (other, lost, first)]) == [True, False, True]

    assert (await idle_ms(redis, other.stream))[other.entry_id] < 25_000
    assert (await idle_ms(redis, first.stream))[first.entry_id] < 25_000
