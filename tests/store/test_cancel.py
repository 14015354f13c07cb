"""cancel.lua, through ``messages.cancel``."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.errors import NotFound, TooLate
from shared.settings import RetentionSettings, Settings
from shared.store import messages
from shared.store.connect import Client
from shared.store.scripts import CANCEL
from tests.store.stage import HOUR_MS, Stage, contents, finished, id_of, open_stage, retry, score_of


async def test_a_waiting_message_is_taken_back(stage: Stage, redis: Client) -> None:
    """It is out of its due set, will not be dispatched, and its outcome is remembered."""
    due_ms = await stage.now_ms() - 10
    (message_id,) = await stage.add(due_ms)
    before_ms = await stage.now_ms()

    await messages.cancel(stage.store, message_id)

    assert await stage.dispatch() == 0
    view = await messages.get(stage.store, message_id)
    assert (view.status, view.due_ms, view.attempts) == ("cancelled", due_ms, 0)
    assert view.finished is not None
    assert before_ms <= view.finished.settled_ms <= await stage.now_ms()
    expires_ms = await redis.zscore(stage.keys.finished_expiry, message_id)
    assert before_ms + HOUR_MS <= expires_ms <= await stage.now_ms() + HOUR_MS


async def test_a_retry_is_taken_back_with_its_errors(stage: Stage, redis: Client) -> None:
    """Its index entry and errors go with it; the attempts it spent are remembered."""
    entry = await stage.running_again()
    await stage.settle(retry(entry, delay_ms=HOUR_MS, attempts=2))

    await messages.cancel(stage.store, id_of(entry))

    assert await redis.exists(stage.keys.due("alpha"), stage.keys.index, stage.keys.errors(id_of(entry))) == 0
    assert (await messages.get(stage.store, id_of(entry))).attempts == 2


async def test_a_changed_message_is_found_where_it_is(stage: Stage, redis: Client) -> None:
    """A message that was moved to another time is taken from there."""
    now_ms = await stage.now_ms()
    (message_id,) = await stage.add(now_ms + HOUR_MS)
    await messages.change(stage.store, message_id, due_ms=now_ms + 2 * HOUR_MS)

    await messages.cancel(stage.store, message_id)

    assert await redis.exists(stage.keys.due("alpha"), stage.keys.index) == 0
    assert (await messages.get(stage.store, message_id)).due_ms == now_ms + 2 * HOUR_MS


async def test_a_ready_message_is_taken_from_its_stream(stage: Stage, redis: Client) -> None:
    """What no worker holds yet is never read; its neighbour is."""
    message_id, other = await stage.ready(2)

    await messages.cancel(stage.store, message_id)

    entries = await stage.read(10)
    assert [id_of(entry) for entry in entries] == [other]
    assert (await messages.get(stage.store, message_id)).due_ms == int(score_of(message_id))
    assert await stage.settle(finished(entries[0], text="")) == [True]
    assert await redis.exists(stage.keys.index) == 0


async def _running(stage: Stage) -> str:
    return id_of(await stage.running_again())


async def _delivered(stage: Stage) -> str:
    (entry,) = await stage.running()
    await stage.settle(finished(entry))
    return id_of(entry)


async def _dead(stage: Stage) -> str:
    return await stage.dead()


@pytest.mark.leaves("index", "stream:", "errors:", "dead")
@pytest.mark.parametrize("state", ["running", "delivered", "dead"])
async def test_it_is_too_late_for_what_is_running_or_over(stage: Stage, redis: Client, prefix: str, state: str) -> None:
    """The answer names the state, and nothing is written."""
    message_id = await {"running": _running, "delivered": _delivered, "dead": _dead}[state](stage)
    before = await contents(redis, prefix)

    with pytest.raises(TooLate) as caught:
        await messages.cancel(stage.store, message_id)

    assert caught.value.state == state
    assert await contents(redis, prefix) == before


async def test_no_message_is_not_found(stage: Stage) -> None:
    """An id that no message has cannot be cancelled."""
    with pytest.raises(NotFound):
        await messages.cancel(stage.store, "alpha-0-" + "0" * 21)


@pytest.mark.parametrize("where", ["due set", "stream"])
async def test_a_repeated_cancel_gets_the_same_answer(stage: Stage, redis: Client, prefix: str, where: str) -> None:
    """The second of two cancels succeeds too, and changes nothing."""
    (message_id,) = await (stage.overdue() if where == "due set" else stage.ready())
    await messages.cancel(stage.store, message_id)
    before = await contents(redis, prefix)

    await messages.cancel(stage.store, message_id)

    assert await contents(redis, prefix) == before


async def test_a_cancel_is_remembered_also_without_retention(settings: Settings, redis: Client) -> None:
    """With a retention of 0, and room for none, a repeated cancel still gets the same answer for a minute."""
    kept = msgspec.structs.replace(settings, retention=RetentionSettings(delivered_ms=0, max_delivered=0))
    async with open_stage(kept) as stage:
        (message_id,) = await stage.overdue()
        before_ms = await stage.now_ms()

        await messages.cancel(stage.store, message_id)

        await messages.cancel(stage.store, message_id)
        expires_ms = await redis.zscore(stage.keys.finished_expiry, message_id)
        assert expires_ms >= before_ms + messages.CANCELLED_KEPT_MS


async def test_the_cap_of_the_finished_store_holds(stage: Stage, redis: Client) -> None:
    """A cancelled message is one of the finished: beyond the cap the one that expires first goes."""
    ids = await stage.overdue(3)
    for message_id in ids[:2]:
        await messages.cancel(stage.store, message_id)
    await redis.zadd(stage.keys.finished_expiry, {ids[1]: await stage.now_ms() + 1_000_000})
    call = await stage.call_of(lambda store: messages.cancel(store, ids[2]))
    call.arguments[3] = 2

    assert await CANCEL.run(stage.client, call.keys, call.arguments) == [b"cancelled"]

    assert set(await redis.hkeys(stage.keys.finished)) == {ids[0].encode(), ids[2].encode()}
    assert await redis.zcard(stage.keys.finished_expiry) == 2


async def test_a_cancel_and_a_worker_race_for_one_message(stage: Stage) -> None:
    """Exactly one wins: the cancel, and the worker reads nothing, or the worker, and the cancel is too late."""
    for _ in range(10):
        (message_id,) = await stage.ready()

        entries, cancelled = await asyncio.gather(
            stage.worker().read({"alpha": 1}), messages.cancel(stage.store, message_id), return_exceptions=True
        )

        assert not isinstance(entries, BaseException)
        assert (len(entries), isinstance(cancelled, TooLate)) in ((0, False), (1, True))
        for entry in entries:
            await stage.settle(finished(entry, text=""))
