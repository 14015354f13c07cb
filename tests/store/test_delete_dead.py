"""delete_dead.lua, through ``dead_letters.delete``; and replays with a change."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import NotFound
from shared.record import Options, Record, RetryOptions, decode_record
from shared.store import dead_letters
from shared.store.connect import Client
from shared.store.dead_letters import Change
from tests.store.stage import HOUR_MS, Stage, contents


async def test_nothing_of_it_is_left(stage: Stage, redis: Client, prefix: str) -> None:
    """Also not its errors; a second time it is not there."""
    message_id = await stage.dead()

    await dead_letters.delete(stage.store, message_id)

    assert [name for name in await contents(redis, prefix) if not name.startswith("stream:")] == []
    with pytest.raises(NotFound, match="no dead letter"):
        await dead_letters.delete(stage.store, message_id)


@pytest.mark.leaves("due:", "index")
async def test_what_is_no_dead_letter_cannot_be_deleted(stage: Stage) -> None:
    """A message that waits stays."""
    (message_id,) = await stage.add(await stage.now_ms() + HOUR_MS)

    with pytest.raises(NotFound):
        await dead_letters.delete(stage.store, message_id)
    with pytest.raises(NotFound):
        await dead_letters.get(stage.store, message_id)
    assert await stage.status(message_id) == "scheduled"


@pytest.mark.leaves("due:", "index")
async def test_a_replay_may_change_what_is_replayed(stage: Stage) -> None:
    """Body, content type, policy; what is not named stays as it was."""
    message_id = await stage.dead()
    body = Record("", 0, "json", b"[1]", Options(content_type="a/b"))

    view = await dead_letters.replay(
        stage.store, message_id, await stage.now_ms() + HOUR_MS, change=Change(body, RetryOptions(max_attempts=2), 77)
    )

    assert view.record is not None
    record = decode_record(view.stored)
    assert (record.id, record.kind, record.body, record.created_ms) == (message_id, "json", b"[1]", 1)
    assert record.options == Options(retry=RetryOptions(max_attempts=2), deadline_ms=77, content_type="a/b")


@pytest.mark.leaves("due:", "index")
async def test_of_many_replays_one_takes_it(stage: Stage) -> None:
    """Each with another body: one succeeds, and the message is that one's."""
    message_id, later_ms = await stage.dead(), await stage.now_ms() + HOUR_MS
    changes = [Change(Record("", 0, "text", str(number).encode())) for number in range(10)]

    found = await asyncio.gather(
        *(dead_letters.replay(stage.store, message_id, later_ms, change=change) for change in changes), return_exceptions=True
    )

    (won,) = [number for number, one in enumerate(found) if not isinstance(one, BaseException)]
    (member,) = await stage.client.zrange(stage.keys.due("alpha"), 0, -1)
    assert decode_record(member).body == str(won).encode()
