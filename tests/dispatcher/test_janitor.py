"""The janitor keeps what is over within its bounds, and removes consumers that are gone, never one that holds something."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from dispatcher.janitor import LABELS, LIMIT, Janitor
from shared.settings import RetentionSettings
from shared.store.keys import GROUP
from shared.store.partition import Store
from tests.dispatcher.waiting_messages import Waiting
from tests.support.waiting import eventually

GONE_MS = 700
"""Long enough that a living consumer does not count as gone on a busy machine."""
MakeJanitor = Callable[..., Janitor]


@pytest.fixture
def make_janitor(store: Store) -> MakeJanitor:
    """Janitors for whom a consumer is gone after less than a second."""

    def make(**retention: int) -> Janitor:
        settings = msgspec.structs.replace(store.settings, retention=RetentionSettings(**retention))
        janitor = Janitor(store, settings)
        janitor._gone_after_ms = GONE_MS
        return janitor

    return make


async def _finish(waiting: Waiting, count: int, expires_ms: int, name: str = "id") -> None:
    """Finished messages that may go at that time."""
    keys = waiting.store.partitions[0].keys
    ids = [f"{name}-{number:05}" for number in range(count)]
    await waiting.redis.hset(keys.finished, mapping=dict.fromkeys(ids, "{}"))
    await waiting.redis.zadd(keys.finished_expiry, dict.fromkeys(ids, expires_ms))


async def _bury(waiting: Waiting, count: int, died_ms: int, name: str = "id") -> None:
    keys = waiting.store.partitions[0].keys
    ids = [f"{name}-{number:05}" for number in range(count)]
    await waiting.redis.hset(keys.dead_records, mapping=dict.fromkeys(ids, "{}\n[]\n"))
    await waiting.redis.zadd(keys.dead, dict.fromkeys(ids, died_ms))


async def _finished(waiting: Waiting) -> tuple[int, int]:
    keys = waiting.store.partitions[0].keys
    return await waiting.redis.hlen(keys.finished), await waiting.redis.zcard(keys.finished_expiry)


async def _dead(waiting: Waiting) -> tuple[int, int]:
    keys = waiting.store.partitions[0].keys
    return await waiting.redis.hlen(keys.dead_records), await waiting.redis.zcard(keys.dead)


async def test_what_is_past_its_retention_goes_however_much_it_is(make_janitor: MakeJanitor, waiting: Waiting) -> None:
    """More than two scripts' worth of expired messages are gone after one run; those within their time stay."""
    now_ms = waiting.now_ms()
    await _finish(waiting, 2 * LIMIT + 500, now_ms - 1, "old")
    await _finish(waiting, 3, now_ms + 60_000, "young")
    assert await _finished(waiting) == (2 * LIMIT + 503, 2 * LIMIT + 503)

    await make_janitor().run_once()

    assert await _finished(waiting) == (3, 3)


async def test_finished_messages_keep_to_their_cap(make_janitor: MakeJanitor, waiting: Waiting) -> None:
    """Beyond the cap those go that would expire first."""
    now_ms = waiting.now_ms()
    await _finish(waiting, LIMIT + 200, now_ms + 60_000, "first")
    await _finish(waiting, 10, now_ms + 90_000, "last")

    await make_janitor(max_delivered=10).run_once()

    assert await _finished(waiting) == (10, 10)
    left = await waiting.redis.hkeys(waiting.store.partitions[0].keys.finished)
    assert all(name.startswith(b"last") for name in left)


@pytest.mark.leaves("dead")
async def test_dead_letters_keep_to_their_age_and_their_cap(make_janitor: MakeJanitor, waiting: Waiting) -> None:
    """Those past their retention and the oldest over the cap go, and are counted."""
    now_ms = waiting.now_ms()
    await _bury(waiting, LIMIT + 100, now_ms - 2_000_000, "aged")
    await _bury(waiting, 30, now_ms - 1_000, "older")
    await _bury(waiting, 5, now_ms, "newest")

    await make_janitor(dead_letters_ms=1_000_000, max_dead_letters=5).run_once()

    assert await _dead(waiting) == (5, 5)
    keys = waiting.store.partitions[0].keys
    assert all(name.startswith(b"newest") for name in await waiting.redis.hkeys(keys.dead_records))
    assert await waiting.redis.hget(keys.counts, "dead_letters_dropped") == str(LIMIT + 130).encode()


async def test_a_run_with_nothing_to_do_changes_nothing(make_janitor: MakeJanitor, waiting: Waiting) -> None:
    """Also where there is no stream yet."""
    await make_janitor().run_once()

    assert await waiting.redis.keys(f"{waiting.store.settings.redis.key_prefix}:*") == []


@pytest.mark.leaves("due", "labels")
async def test_labels_of_messages_that_are_gone_go_some_in_each_run(make_janitor: MakeJanitor, waiting: Waiting) -> None:
    """However many there are, each run looks at a bounded number; then it begins again. What waits keeps its labels."""
    index = waiting.store.partitions[0].keys.labels
    lives = [f"red\t{one[-21:]}\t{one}" for one in await waiting.put(LABELS + 10, waiting.now_ms() + 60_000)]
    await waiting.redis.zadd(index, dict.fromkeys([*lives, "blue\tgone", "zebra\tgone"], 0))
    janitor = make_janitor()

    await janitor.run_once()
    assert await waiting.redis.zcard(index) == len(lives) + 1
    await janitor.run_once()
    assert await waiting.redis.zcard(index) == len(lives)

    await waiting.redis.zadd(index, {"blue\tgone": 0})
    await janitor.run_once()
    assert await waiting.redis.zcard(index) == len(lives)


class _Group:
    """A topic's group and its consumers."""

    def __init__(self, waiting: Waiting, topic: str = "alpha") -> None:
        self.redis = waiting.redis
        self.stream = waiting.store.partitions[0].keys.stream(topic)

    async def make(self) -> None:
        await self.redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)

    async def ask(self, consumer: str) -> int:
        """What a worker does again and again; how many it got."""
        answer = await self.redis.xreadgroup(GROUP, consumer, {self.stream: ">"}, count=10)
        return sum(len(rows) for _, rows in answer)

    async def idle(self) -> dict[str, int]:
        rows = await self.redis.xinfo_consumers(self.stream, GROUP)
        return {row["name"].decode(): row["idle"] for row in rows}

    async def silent(self, *consumers: str) -> None:
        """Until these have asked for nothing long enough to count as gone."""

        async def gone() -> bool:
            idle = await self.idle()
            return all(idle[consumer] > GONE_MS for consumer in consumers)

        await eventually(gone)


@pytest.fixture
async def group(waiting: Waiting) -> _Group:
    made = _Group(waiting)
    await made.make()
    return made


async def test_a_gone_consumer_that_holds_nothing_is_removed(make_janitor: MakeJanitor, group: _Group) -> None:
    """It asked for nothing for long, and nothing is pending for it."""
    await group.ask("gone")
    await group.silent("gone")
    assert set(await group.idle()) == {"gone"}

    await make_janitor().run_once()

    assert await group.idle() == {}


@pytest.mark.leaves("stream")
async def test_a_gone_consumer_that_holds_something_stays_until_it_is_claimed(make_janitor: MakeJanitor, group: _Group) -> None:
    """Removing it would discard its pending entry for ever; once another has claimed that, it goes."""
    await group.redis.xadd(group.stream, {"due": 1, "attempts": 0, "message": "x"})
    assert await group.ask("gone") == 1
    await group.silent("gone")

    await make_janitor().run_once()

    assert (await group.redis.xpending(group.stream, GROUP))["pending"] == 1
    assert "gone" in await group.idle()
    await group.redis.xautoclaim(group.stream, GROUP, "heir", 0)
    await make_janitor().run_once()
    assert set(await group.idle()) == {"heir"}
    assert (await group.redis.xpending(group.stream, GROUP))["pending"] == 1


async def test_a_living_consumer_that_gets_nothing_stays(make_janitor: MakeJanitor, group: _Group) -> None:
    """Whoever asks, and be it in vain, is alive, however long ago it got something."""
    await group.ask("gone")
    await group.ask("idle")
    await group.silent("gone", "idle")
    await group.ask("idle")

    await make_janitor().run_once()

    assert set(await group.idle()) == {"idle"}


async def test_a_consumer_that_asks_in_one_topic_only_is_alive(
    make_janitor: MakeJanitor, group: _Group, waiting: Waiting
) -> None:
    """A worker with no room for one topic asks for the other: it is removed from neither group."""
    other = _Group(waiting, "beta")
    await other.make()
    await group.ask("busy")
    await other.ask("busy")
    await group.silent("busy")
    await other.ask("busy")

    await make_janitor().run_once()

    assert (set(await group.idle()), set(await other.idle())) == ({"busy"}, {"busy"})
