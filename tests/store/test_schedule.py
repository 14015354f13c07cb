"""schedule.lua, through ``accept.schedule``."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from shared.errors import Conflict
from shared.ids import parse_id
from shared.record import Options, decode_record
from shared.settings import RedisSettings, Settings
from shared.store.accept import NotStored, schedule
from shared.store.chunks import CHUNK_BYTES, CHUNK_MESSAGES, Draft
from shared.store.connect import Client, Connections
from tests.store.conftest import Wakes
from tests.store.stage import HOUR_MS, Stage, contents, open_stage, score_of
from tests.support.keys import delete_keys

pytestmark = pytest.mark.leaves("due:")


def drafts(count: int, due_ms: int, topic: str = "alpha", body: bytes = b"x") -> list[Draft]:
    return [Draft(topic, "text", body, due_ms=due_ms) for _ in range(count)]


async def names(redis: Client, prefix: str) -> set[str]:
    return set(await contents(redis, prefix)) - {"topics"}


async def test_stored_messages_wait_at_the_scores_of_their_ids(stage: Stage, redis: Client, prefix: str) -> None:
    """A message is one member of its topic's due set, at the score its id carries; nothing else is written."""
    due_ms = await stage.now_ms() + HOUR_MS
    options = Options(headers={"a": "b"}, expires_ms=due_ms + 1)

    accepted = await schedule(stage.store, [Draft("alpha", "json", b"[1]", due_ms=due_ms, options=options)])

    (message_id,) = accepted.ids
    assert (accepted.due_ms, accepted.deduplicated) == ([due_ms], False)
    assert await stage.waiting() == {message_id: score_of(message_id)}
    assert int(score_of(message_id)) == due_ms
    (member,) = await redis.zrange(stage.keys.due("alpha"), 0, -1)
    record = decode_record(member)
    assert (record.id, record.kind, record.body, record.options) == (message_id, "json", b"[1]", options)
    assert await names(redis, prefix) == {"due:alpha"}


async def test_one_call_stores_for_several_topics(stage: Stage) -> None:
    """Each message goes to the due set of its own topic."""
    due_ms = await stage.now_ms() + HOUR_MS
    mixed = [*drafts(2, due_ms), *drafts(1, due_ms, "beta"), *drafts(1, due_ms)]

    accepted = await schedule(stage.store, mixed)

    assert set(await stage.waiting("alpha")) == {accepted.ids[0], accepted.ids[1], accepted.ids[3]}
    assert set(await stage.waiting("beta")) == {accepted.ids[2]}


async def test_equal_messages_do_not_collide(stage: Stage) -> None:
    """A hundred messages with one body at one time are a hundred messages."""
    accepted = await schedule(stage.store, drafts(100, FAR_MS))

    assert len(await stage.waiting()) == len(set(accepted.ids)) == 100


async def test_a_time_in_the_past_is_due_when_accepted(stage: Stage) -> None:
    """Neither a past time nor no delay gives a message an age that it does not have."""
    before_ms = await stage.now_ms()

    accepted = await schedule(stage.store, [Draft("alpha", "text", b"x", due_ms=1), Draft("alpha", "text", b"x")])

    assert all(abs(due_ms - before_ms) < 1000 for due_ms in accepted.due_ms)
    assert sorted(int(score) for score in (await stage.waiting()).values()) == sorted(accepted.due_ms)


async def test_a_repeat_with_its_key_is_repeated_and_writes_nothing(stage: Stage, redis: Client, prefix: str) -> None:
    """The same key and content get the first answer again, though the clock has gone on."""
    due_ms = await stage.now_ms() + HOUR_MS
    wanted = [*drafts(2, due_ms), Draft("beta", "text", b"x", delay_ms=HOUR_MS)]
    first = await schedule(stage.store, wanted, "order-1")
    before = await contents(redis, prefix)

    again = await schedule(stage.store, wanted, "order-1")

    assert (first.deduplicated, again.deduplicated) == (False, True)
    assert (again.ids, again.due_ms) == (first.ids, first.due_ms)
    assert await contents(redis, prefix) == before


FAR_MS = 2_000_000_000_000


@pytest.mark.parametrize(
    "other",
    [
        [Draft("alpha", "text", b"y", due_ms=FAR_MS)],
        [Draft("beta", "text", b"x", due_ms=FAR_MS)],
        [Draft("alpha", "json", b"x", due_ms=FAR_MS)],
        [Draft("alpha", "text", b"x", due_ms=FAR_MS + 1)],
        [Draft("alpha", "text", b"x", due_ms=FAR_MS, options=Options(labels=("a",)))],
        [Draft("alpha", "text", b"x", due_ms=FAR_MS)] * 2,
    ],
    ids=["body", "topic", "kind", "time", "options", "number"],
)
async def test_a_key_with_another_content_is_a_conflict(stage: Stage, redis: Client, prefix: str, other: Sequence[Draft]) -> None:
    """A key that belongs to another request is refused, whatever the difference; nothing is written."""
    await schedule(stage.store, drafts(1, FAR_MS), "order-1")
    before = await contents(redis, prefix)

    with pytest.raises(Conflict):
        await schedule(stage.store, other, "order-1")

    assert await contents(redis, prefix) == before


async def test_a_key_is_remembered_as_long_as_the_settings_say(stage: Stage, redis: Client) -> None:
    """The record of an idempotency key forgets itself."""
    await schedule(stage.store, drafts(1, FAR_MS), "order-1")

    (key,) = [key async for key in redis.scan_iter(match=f"{stage.keys.idempotency('')}*")]

    assert 0 < await redis.pttl(key) <= stage.store.settings.producer.idempotency_ms


async def test_a_batch_without_a_key_leaves_no_trace_of_one(stage: Stage, redis: Client, prefix: str) -> None:
    """The key that a batch is given for its own repeats is forgotten once everything is stored."""
    await schedule(stage.store, drafts(CHUNK_MESSAGES + 1, FAR_MS))

    assert await names(redis, prefix) == {"due:alpha"}
    assert len(await stage.waiting()) == CHUNK_MESSAGES + 1


async def test_a_repeat_completes_a_large_request_that_was_cut_off(stage: Stage, redis: Client, prefix: str) -> None:
    """Each chunk has a record of its own: a repeat stores the chunks that are missing, with the same ids, and doubles nothing."""
    wanted = drafts(2 * CHUNK_MESSAGES + 1, FAR_MS)
    first = await schedule(stage.store, wanted, "order-1")
    whole = await contents(redis, prefix)
    (missing,) = [key async for key in redis.scan_iter(match=f"{stage.keys.idempotency('')}*:1")]
    lost = set(first.ids[CHUNK_MESSAGES : 2 * CHUNK_MESSAGES])
    members = [one for one in await redis.zrange(stage.keys.due("alpha"), 0, -1) if one.split(b" ")[0].decode() in lost]
    await redis.delete(missing)
    await redis.zrem(stage.keys.due("alpha"), *members)
    assert len(await stage.waiting()) == CHUNK_MESSAGES + 1

    again = await schedule(stage.store, wanted, "order-1")

    assert again.ids == first.ids
    assert await contents(redis, prefix) == whole


async def test_large_bodies_are_stored_in_chunks(stage: Stage, redis: Client) -> None:
    """One script carries about a mebibyte of bodies, so that none blocks Redis for long."""
    accepted = await schedule(stage.store, drafts(5, FAR_MS, body=b"x" * (CHUNK_BYTES // 2)), "order-1")

    assert set(await stage.waiting()) == set(accepted.ids)
    assert len([key async for key in redis.scan_iter(match=f"{stage.keys.idempotency('')}*")]) == 5


async def test_chunks_go_to_the_partitions_in_turn(settings: Settings, redis: Client) -> None:
    """With several partitions each chunk lies where the ids of its messages say, and a repeat finds it there."""
    async with open_stage(msgspec.structs.replace(settings, partitions=3)) as stage:
        wanted = drafts(2 * CHUNK_MESSAGES + 1, FAR_MS)

        accepted = await schedule(stage.store, wanted, "order-1")

        for partition in stage.store.partitions:
            members = await redis.zrange(partition.keys.due("alpha"), 0, -1)
            parsed = [parse_id(member.split(b" ")[0].decode()) for member in members]
            assert members
            assert {one.partition for one in parsed if one} == {partition.number}
        assert (await schedule(stage.store, wanted, "order-1")).ids == accepted.ids


async def test_a_full_redis_refuses_before_anything_is_stored(own_server_url: str, settings: Settings, prefix: str) -> None:
    """The caller learns that nothing is there, not that something may be; a repeat is a request like any other."""
    own = msgspec.structs.replace(settings, redis=RedisSettings(connection_string=own_server_url, key_prefix=prefix))
    client = Connections(own.redis, "test").commands()
    async with open_stage(own) as stage:
        await client.config_set("maxmemory", 1)
        try:
            with pytest.raises(NotStored) as caught:
                await schedule(stage.store, drafts(2, FAR_MS))
        finally:
            await client.config_set("maxmemory", 0)
        assert await contents(client, prefix) == {}
        assert caught.value.kind == "oom"

        accepted = await schedule(stage.store, drafts(2, FAR_MS))

        assert set(await stage.waiting()) == set(accepted.ids)
        await delete_keys(client, prefix)
    await client.aclose()


async def test_a_wake_up_is_published_only_for_a_message_that_became_the_earliest(stage: Stage, wakes: Wakes) -> None:
    """One wake-up a due set, for its new head; none for a message behind it, for a repeat, or for equal times after the first."""
    await schedule(stage.store, drafts(1, FAR_MS), "order-1")
    assert await wakes.heard() == [f"alpha {FAR_MS}"]

    await schedule(stage.store, drafts(1, FAR_MS + 1))
    await schedule(stage.store, drafts(1, FAR_MS), "order-1")
    assert await wakes.heard() == []

    await schedule(stage.store, [*drafts(1, FAR_MS - 5), *drafts(1, FAR_MS - 9), *drafts(1, FAR_MS + 7, "beta")])
    assert await wakes.heard() == [f"alpha {FAR_MS - 9}", f"beta {FAR_MS + 7}"]


async def test_a_message_of_the_heads_own_score_wakes_nobody(stage: Stage, wakes: Wakes) -> None:
    """The dispatchers wake at that very time already."""
    await stage.add(FAR_MS, bits=[5 << 50 | 7])
    assert await wakes.heard() == [f"alpha {FAR_MS}"]

    await stage.add(FAR_MS, bits=[5 << 50 | 3])

    assert await wakes.heard() == []
