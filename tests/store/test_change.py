"""change.lua, through ``messages.change`` and ``messages.deliver_now``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import NotFound, TooLate
from shared.record import Options, Record, RetryOptions, decode_record
from shared.store import messages
from shared.store.connect import Client
from tests.store.conftest import Wakes
from tests.store.stage import HOUR_MS, Stage, contents, finished, id_of, retry, score_of


def body(text: bytes) -> Record:
    return Record("", 0, "text", text, Options(content_type="text/markdown"))


@pytest.mark.leaves("due:", "index")
@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS // 2, 1, -1])
async def test_another_time_moves_the_message_and_not_its_id(stage: Stage, redis: Client, by_ms: int) -> None:
    """It waits once, at the new millisecond with its own tie, and the index leads there."""
    due_ms = await stage.now_ms() + HOUR_MS
    (message_id,) = await stage.add(due_ms)
    (record,) = await redis.zrange(stage.keys.due("alpha"), 0, -1)

    view = await messages.change(stage.store, message_id, due_ms=due_ms + by_ms)

    assert (view.id, view.status, view.due_ms, view.stored) == (message_id, "scheduled", due_ms + by_ms, record)
    score = score_of(message_id) + by_ms
    assert await stage.waiting() == {message_id: score}
    assert await redis.hgetall(stage.keys.index) == {message_id.encode(): f"due {score:.17g} 0".encode()}


@pytest.mark.leaves("due:")
async def test_back_at_its_first_time_it_needs_no_index(stage: Stage, redis: Client, prefix: str) -> None:
    """Moved there and back, a message is as if it had never been moved."""
    due_ms = await stage.now_ms() + HOUR_MS
    (message_id,) = await stage.add(due_ms)
    before = await contents(redis, prefix)
    await messages.change(stage.store, message_id, due_ms=due_ms + 5)

    await messages.change(stage.store, message_id, due_ms=due_ms)

    assert await contents(redis, prefix) == before


@pytest.mark.leaves("due:", "labels")
async def test_another_body_keeps_everything_else(stage: Stage, redis: Client, prefix: str) -> None:
    """Time, id, creation and options stay; body and content type are the new ones; the old record is gone."""
    options = Options(labels=("a",), retry=RetryOptions(max_attempts=9), content_type="text/plain")
    due_ms = await stage.now_ms() + HOUR_MS
    (message_id,) = await stage.add(due_ms, options=options)

    view = await messages.change(stage.store, message_id, body=body(b"new\nbody"))

    (member,) = await redis.zrange(stage.keys.due("alpha"), 0, -1)
    record = decode_record(member)
    assert (record.id, record.created_ms, record.body) == (message_id, 1, b"new\nbody")
    assert record.options == Options(labels=("a",), retry=RetryOptions(max_attempts=9), content_type="text/markdown")
    assert (view.stored, view.due_ms) == (member, due_ms)
    assert set(await contents(redis, prefix)) - {"topics"} == {"due:alpha", "labels"}


@pytest.mark.leaves("due:", "index")
async def test_time_and_body_change_at_once(stage: Stage) -> None:
    """One call, one move."""
    due_ms = await stage.now_ms() + HOUR_MS
    (message_id,) = await stage.add(due_ms)

    view = await messages.change(stage.store, message_id, due_ms=due_ms + 9, body=body(b"new"))

    assert view.record is not None
    assert (view.due_ms, view.record.body) == (due_ms + 9, b"new")


@pytest.mark.leaves("due:", "index", "errors:")
async def test_a_retry_keeps_its_attempts_and_deferrals(stage: Stage, redis: Client) -> None:
    """Moving a retry forgets nothing of what it has spent, also at its first time."""
    (entry,) = await stage.running()
    await stage.settle(retry(entry, delay_ms=HOUR_MS, attempts=2, deferrals=3))
    due_ms = await stage.now_ms() + 2 * HOUR_MS

    view = await messages.change(stage.store, id_of(entry), due_ms=due_ms)

    assert (view.status, view.attempts, view.due_ms) == ("retrying", 2, due_ms)
    assert (await redis.hget(stage.keys.index, id_of(entry))).endswith(b" 2 3")
    await messages.deliver_now(stage.store, id_of(entry))
    await stage.dispatch()
    (again,) = await stage.read()
    assert (again.attempts, again.deferrals) == (2, 3)
    await stage.settle(finished(again, text=""))


@pytest.mark.leaves("due:", "index")
@pytest.mark.parametrize("due_ms", [0, 1_000_000_000_000])
async def test_a_time_in_the_past_is_now(stage: Stage, due_ms: int) -> None:
    """A message cannot get an age that it does not have."""
    before_ms = await stage.now_ms()
    (message_id,) = await stage.add(before_ms + HOUR_MS)

    view = await messages.change(stage.store, message_id, due_ms=due_ms)

    assert before_ms <= view.due_ms <= await stage.now_ms()
    again = await messages.change(stage.store, message_id, due_ms=due_ms)
    assert again.due_ms == view.due_ms, "a repeat has no second effect"


@pytest.mark.leaves("index", "stream:")
async def test_deliver_now_makes_a_message_due(stage: Stage) -> None:
    """It is dispatched at once, and is due when it was asked for."""
    before_ms = await stage.now_ms()
    (message_id,) = await stage.add(before_ms + HOUR_MS)

    view = await messages.deliver_now(stage.store, message_id)

    assert (view.status, before_ms <= view.due_ms <= await stage.now_ms()) == ("scheduled", True)
    assert await stage.dispatch() == 1


@pytest.mark.leaves("due:")
async def test_deliver_now_leaves_an_overdue_message_as_it_is(stage: Stage, redis: Client, prefix: str) -> None:
    """What is due already is not put behind others."""
    (message_id,) = await stage.overdue()
    before = await contents(redis, prefix)

    await messages.deliver_now(stage.store, message_id)

    assert await contents(redis, prefix) == before


@pytest.mark.leaves("due:", "index")
async def test_a_record_that_is_not_the_one_seen_is_stale(stage: Stage, redis: Client, prefix: str) -> None:
    """Who wants to replace a record that another has replaced meanwhile writes nothing and looks again."""
    (message_id,) = await stage.add(await stage.now_ms() + HOUR_MS)
    seen = (await messages.get(stage.store, message_id)).stored
    await messages.change(stage.store, message_id, body=body(b"other"))
    before = await contents(redis, prefix)

    assert await messages._change(stage.store, message_id, "", seen + b"mine", messages._Fence(seen)) is None
    assert await contents(redis, prefix) == before
    assert await messages._change(stage.store, message_id, "", before["due:alpha"][0][0], messages._Fence(seen)) is not None, (
        "a repeat"
    )
    assert await contents(redis, prefix) == before


@pytest.mark.leaves("due:")
async def test_of_several_changes_at_once_each_sees_the_one_before(stage: Stage) -> None:
    """Changes of one message that race all succeed or are told so; the message waits once."""
    (message_id,) = await stage.add(await stage.now_ms() + HOUR_MS)

    changes = [messages.change(stage.store, message_id, body=body(f"{number}".encode())) for number in range(4)]
    answers = await asyncio.gather(*changes, return_exceptions=True)

    assert any(isinstance(answer, messages.View) for answer in answers)
    assert all(isinstance(answer, messages.View | TooLate) for answer in answers)
    assert len(await stage.waiting()) == 1


ask: dict[str, Callable[[Stage, str], Awaitable[object]]] = {
    "change": lambda stage, message_id: messages.change(stage.store, message_id, due_ms=2_000_000_000_000),
    "deliver now": lambda stage, message_id: messages.deliver_now(stage.store, message_id),
}


@pytest.mark.leaves("index", "stream:", "dead")
@pytest.mark.parametrize("state", ["ready", "running", "delivered", "dead", "cancelled"])
@pytest.mark.parametrize("asked", ["change", "deliver now"])
async def test_it_is_too_late_for_what_does_not_wait(stage: Stage, redis: Client, prefix: str, state: str, asked: str) -> None:
    """The answer names the state, and nothing is written."""
    if state == "dead":
        message_id = await stage.dead()
    elif state == "cancelled":
        (message_id,) = await stage.overdue()
        await messages.cancel(stage.store, message_id)
    else:
        (message_id,) = await stage.ready()
        if state != "ready":
            (entry,) = await stage.read()
            if state == "delivered":
                await stage.settle(finished(entry))
    before = await contents(redis, prefix)

    with pytest.raises(TooLate) as caught:
        await ask[asked](stage, message_id)

    assert caught.value.state == state
    assert await contents(redis, prefix) == before


@pytest.mark.leaves("index", "stream:")
async def test_a_move_between_look_and_change_is_too_late(stage: Stage, redis: Client, prefix: str) -> None:
    """The script decides: what was dispatched since it was looked at is not changed."""
    (message_id,) = await stage.ready()
    before = await contents(redis, prefix)

    with pytest.raises(TooLate) as caught:
        await messages._change(stage.store, message_id, "9999999999999", b"")

    assert caught.value.state == "ready"
    assert await contents(redis, prefix) == before


async def test_no_message_is_not_found(stage: Stage) -> None:
    """An id that no message has can neither be changed nor delivered."""
    with pytest.raises(NotFound):
        await messages.change(stage.store, "alpha-0-" + "0" * 21, due_ms=1)
    with pytest.raises(NotFound):
        await messages.deliver_now(stage.store, "alpha-0-" + "0" * 21)


@pytest.mark.leaves("due:", "index")
async def test_a_wake_up_is_published_only_for_a_message_that_became_the_earliest(stage: Stage, wakes: Wakes) -> None:
    """Moving later, or earlier behind the head, or another body, wakes nobody."""
    due_ms = await stage.now_ms() + HOUR_MS
    head, message_id = await stage.add(due_ms, due_ms + 100)
    await wakes.heard()

    await messages.change(stage.store, message_id, due_ms=due_ms + 200)
    await messages.change(stage.store, message_id, due_ms=due_ms + 50)
    await messages.change(stage.store, message_id, body=body(b"new"))
    await messages.change(stage.store, head, due_ms=due_ms + 10)
    assert await wakes.heard() == []

    await messages.change(stage.store, message_id, due_ms=due_ms - 50)
    assert await wakes.heard() == [f"alpha {due_ms - 50}"]
    await messages.change(stage.store, message_id, due_ms=due_ms - 60)
    assert await wakes.heard() == [f"alpha {due_ms - 60}"]
