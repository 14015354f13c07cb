"""replay.lua, through ``dead_letters.replay``."""

from __future__ import annotations

import pytest

from shared.errors import NotFound, TooLate
from shared.store import dead_letters
from shared.store.connect import Client
from shared.store.scripts import REPLAY
from tests.store.conftest import Wakes
from tests.store.stage import HOUR_MS, Stage, contents, dead, id_of, score_of


@pytest.mark.leaves("index", "stream:")
async def test_a_dead_letter_is_scheduled_again_with_no_attempt_spent(stage: Stage, redis: Client) -> None:
    """It is due now, under its id, with its record, as if it had never failed; the dead letter is gone."""
    entry = await stage.running_again()
    await stage.settle(dead(entry))
    before_ms = await stage.now_ms()

    view = await dead_letters.replay(stage.store, id_of(entry))

    assert (view.id, view.status, view.attempts, view.errors) == (id_of(entry), "scheduled", 0, ())
    assert before_ms <= view.due_ms <= await stage.now_ms()
    assert await redis.exists(stage.keys.dead, stage.keys.dead_records) == 0
    assert await stage.dispatch() == 1
    (again,) = await stage.read()
    assert (again.record, again.attempts, again.deferrals) == (entry.record, 0, 0)


@pytest.mark.leaves("due:", "index")
async def test_a_replay_may_be_for_later(stage: Stage) -> None:
    """It waits at the asked time with its own tie."""
    message_id = await stage.dead()
    due_ms = await stage.now_ms() + HOUR_MS

    view = await dead_letters.replay(stage.store, message_id, due_ms)

    assert view.due_ms == due_ms
    assert await stage.waiting() == {message_id: due_ms + score_of(message_id) % 1}


@pytest.mark.leaves("due:", "index")
async def test_a_second_replay_is_too_late(stage: Stage, redis: Client, prefix: str) -> None:
    """Whoever comes second is told that it is scheduled already; nothing is doubled."""
    message_id = await stage.dead()
    await dead_letters.replay(stage.store, message_id, await stage.now_ms() + HOUR_MS)
    before = await contents(redis, prefix)

    with pytest.raises(TooLate) as caught:
        await dead_letters.replay(stage.store, message_id)

    assert caught.value.state == "scheduled"
    assert await contents(redis, prefix) == before


@pytest.mark.parametrize("message_id", ["", "alpha-0-short", "alpha-9-" + "0" * 21, "alpha-0-" + "0" * 21])
async def test_no_message_is_not_found(stage: Stage, message_id: str) -> None:
    """What is no dead letter and no message cannot be replayed."""
    with pytest.raises(NotFound):
        await dead_letters.replay(stage.store, message_id)


@pytest.mark.leaves("dead")
@pytest.mark.parametrize("fault", ["empty", "lines", "gone"])
async def test_a_letter_without_a_record_is_unreadable_and_stays(stage: Stage, redis: Client, prefix: str, fault: str) -> None:
    """There is nothing to schedule: the script says so and removes nothing."""
    message_id = await stage.dead()
    if fault == "gone":
        await redis.hdel(stage.keys.dead_records, message_id)
    else:
        await redis.hset(stage.keys.dead_records, message_id, "{}\n[]\n" if fault == "empty" else "{}")
    before = await contents(redis, prefix)
    keys = [stage.keys.dead, stage.keys.dead_records, stage.keys.due("alpha"), stage.keys.index]

    assert await REPLAY.run(stage.client, keys, [message_id, stage.keys.wake_channel, 0]) == [b"unreadable"]

    assert await contents(redis, prefix) == before


@pytest.mark.leaves("dead")
async def test_a_letter_whose_entry_had_no_record_cannot_be_replayed(stage: Stage, redis: Client) -> None:
    """Whoever tries is told why, and it stays for a person to look at."""
    (entry,) = await stage.running()
    await redis.xdel(entry.stream, entry.entry_id)
    await stage.settle(dead(entry))

    with pytest.raises(TooLate, match="without a record"):
        await dead_letters.replay(stage.store, id_of(entry))

    assert await stage.status(id_of(entry)) == "dead"


@pytest.mark.leaves("due:", "index", "dead")
async def test_a_wake_up_is_published_only_for_a_message_that_became_the_earliest(stage: Stage, wakes: Wakes) -> None:
    """Behind the head nobody is woken; before it, its time is published."""
    first, second = await stage.dead(), await stage.dead()
    head_ms = await stage.now_ms() + HOUR_MS
    await stage.add(head_ms)
    await wakes.heard()

    await dead_letters.replay(stage.store, first, head_ms + 1)
    assert await wakes.heard() == []
    await dead_letters.replay(stage.store, second, head_ms - 1)
    assert await wakes.heard() == [f"alpha {head_ms - 1}"]
