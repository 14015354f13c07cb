"""A pass moves everything that is due, nothing early, and knows when the next one is to run."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from dispatcher.forwarder import AHEAD_S, FULL_STREAM_WAIT_MS, Forwarder
from shared.errors import Outage
from shared.settings import DispatcherSettings, Settings
from shared.store import topics
from shared.store.keys import GROUP
from shared.store.partition import Store
from tests.dispatcher.conftest import NAMED, TOPICS
from tests.dispatcher.waiting_messages import Waiting

HOUR_MS = 3_600_000


def _forwarder(store: Store, **settings: Any) -> Forwarder:
    dispatcher = msgspec.structs.replace(store.settings.dispatcher, **settings)
    return Forwarder(store.partitions, NAMED, dispatcher)


@pytest.mark.leaves("stream", "index")
async def test_a_pass_moves_more_than_a_batch(store: Store, waiting: Waiting) -> None:
    """95 messages with batches of 10 are all moved by one pass, in the order of their due times."""
    now_ms = waiting.now_ms()
    for due_ms in range(now_ms - 95, now_ms):
        await waiting.put(1, due_ms)
    forwarder = _forwarder(store)
    assert forwarder.moved == 0

    done = await forwarder.run_once()

    assert (done.moved, done.next_s, forwarder.moved) == (95, None, 95)
    assert await waiting.left() == 0
    assert [due for _, due in await waiting.moved()] == list(range(now_ms - 95, now_ms))


@pytest.mark.leaves("stream", "index", "due")
async def test_nothing_is_moved_early(store: Store, waiting: Waiting) -> None:
    """Messages of every millisecond around now: passes until all are moved, and none is in the stream before its time."""
    now_ms = waiting.now_ms()
    for due_ms in range(now_ms - 5, now_ms + 40):
        await waiting.put(2, due_ms)
    forwarder = _forwarder(store)

    while await waiting.left():
        await forwarder.run_once()

    moved = await waiting.moved()
    assert len(moved) == 90
    assert [due for added, due in moved if added < due] == []


@pytest.mark.leaves("stream", "index", "due")
async def test_topics_are_moved_in_turn(store: Store, waiting: Waiting) -> None:
    """A herd in one topic holds nobody up: the other topic's batches lie between those of the herd."""
    now_ms = waiting.now_ms()
    await waiting.put(60, now_ms - 1000, "alpha")
    await waiting.put(20, now_ms - 1, "beta")
    forwarder = _forwarder(store)
    due_sets = {store.partitions[0].keys.due(topic): topic for topic in TOPICS}
    order: list[str] = []
    async with waiting.redis.monitor() as monitor:
        done = await forwarder.run_once()
        await waiting.redis.echo("the end")
        async for command in monitor.listen():
            if command["command"] == "ECHO the end":
                break
            words = command["command"].split()
            order += [topic for key, topic in due_sets.items() if words[0] == "EVALSHA" and key in words]

    assert done.moved == 80
    assert order[:4] == ["alpha", "beta"] * 2
    assert set(order[4:]) == {"alpha"}


@pytest.mark.leaves("stream", "index")
async def test_a_pass_begins_before_the_time_and_asks_at_the_time(
    store: Store, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due in less than it takes to wake up is waited for awake: not asked for before, nor left to another pass."""
    monkeypatch.setattr("dispatcher.forwarder.AHEAD_S", 0.05)
    forwarder = _forwarder(store)
    await forwarder.run_once()
    clock = store.partitions[0].clock
    due_ms = clock.now_ms() + 30
    await waiting.put(1, due_ms)
    forwarder.agenda.sooner((0, "alpha"), clock.monotonic_s(due_ms) + clock.round_trip_us / 1e6)  # as exact as it is known

    done = await forwarder.run_once()

    assert (done.moved, await waiting.left()) == (1, 0)
    ((added_ms, _),) = await waiting.moved()
    assert added_ms >= due_ms


async def test_the_next_pass_is_to_begin_before_the_next_message_is_due(store: Store) -> None:
    """By what waking up takes."""
    forwarder = _forwarder(store)
    await forwarder.run_once()
    forwarder.agenda.sooner((0, "alpha"), time.monotonic() + 60)

    done = await forwarder.run_once()

    assert forwarder.agenda.next_s is not None
    assert done.next_s == forwarder.agenda.next_s - AHEAD_S


@pytest.mark.leaves("stream", "index", "due")
async def test_a_full_stream_leaves_the_rest_and_looks_again_soon(store: Store, waiting: Waiting) -> None:
    """What does not fit stays safe in the due set; another topic is not held up; the next pass comes in milliseconds."""
    now_ms = waiting.now_ms()
    await waiting.put(30, now_ms - 1, "alpha")
    await waiting.put(5, now_ms - 1, "beta")
    forwarder = _forwarder(store, max_stream_length=12)

    done = await forwarder.run_once()

    assert (done.moved, await waiting.left("alpha"), await waiting.left("beta")) == (17, 18, 0)
    assert len(await waiting.moved("alpha")) == 12
    assert done.next_s is not None
    assert 0 < done.next_s - time.monotonic() <= FULL_STREAM_WAIT_MS / 1000
    assert (await forwarder.run_once()).moved == 0
    await waiting.redis.xtrim(store.partitions[0].keys.stream("alpha"), 4, approximate=False)
    forwarder.agenda.all_now()
    assert (await forwarder.run_once()).moved == 8


@pytest.mark.leaves("stream", "index", "due")
async def test_a_full_stream_is_left_alone_until_something_is_due(store: Store, waiting: Waiting) -> None:
    """Nothing is asked for again and again where nothing could be moved anyway: the next pass comes with the next due time."""
    now_ms = waiting.now_ms()
    await waiting.put(5, now_ms - 1)
    await waiting.put(1, now_ms + HOUR_MS)
    forwarder = _forwarder(store, max_stream_length=5)
    await forwarder.run_once()

    done = await forwarder.run_once()

    assert done.next_s == pytest.approx(store.partitions[0].clock.monotonic_s(now_ms + HOUR_MS), abs=0.05)


@pytest.mark.leaves("due")
async def test_the_next_pass_comes_with_the_earliest_of_all_topics(store: Store, waiting: Waiting) -> None:
    """Of several waiting messages the earliest counts, in whichever topic it waits."""
    now_ms = waiting.now_ms()
    await waiting.put(1, now_ms + 2 * HOUR_MS, "alpha")
    await waiting.put(1, now_ms + HOUR_MS, "beta")

    done = await _forwarder(store).run_once()

    assert done.moved == 0
    assert done.next_s == pytest.approx(store.partitions[0].clock.monotonic_s(now_ms + HOUR_MS), abs=0.05)


async def test_with_nothing_waiting_there_is_no_next_pass(store: Store) -> None:
    """An empty service sets no alarm."""
    done = await _forwarder(store).run_once()

    assert (done.moved, done.next_s) == (0, None)


@pytest.mark.leaves("stream", "index", "due")
async def test_all_partitions_are_moved_and_the_earliest_of_them_counts(settings: Settings, waiting: Waiting) -> None:
    """Three slices: each one's due messages go to its own stream; the next pass comes with the earliest message of all."""
    store = Store(msgspec.structs.replace(settings, partitions=3), "test")
    await store.synchronise()
    everywhere = Waiting(store, waiting.redis)
    now_ms = waiting.now_ms()
    for partition in range(3):
        await everywhere.put(12 + partition, now_ms - 1, "alpha", partition)
        await everywhere.put(1, now_ms + (3 - partition) * HOUR_MS, "beta", partition)

    done = await _forwarder(store).run_once()

    assert done.moved == 12 + 13 + 14
    assert [len(await everywhere.moved("alpha", partition)) for partition in range(3)] == [12, 13, 14]
    assert [await everywhere.left("beta", partition) for partition in range(3)] == [1, 1, 1]
    assert done.next_s == pytest.approx(store.partitions[2].clock.monotonic_s(now_ms + HOUR_MS), abs=0.05)
    await store.close()


@pytest.mark.leaves("stream", "index")
async def test_what_is_moved_can_be_read_by_the_group(store: Store, waiting: Waiting) -> None:
    """The stream comes with its group, which starts at the first entry, also where no worker has ever been."""
    await waiting.put(3, waiting.now_ms() - 1)

    await _forwarder(store).run_once()

    (group,) = await waiting.redis.xinfo_groups(store.partitions[0].keys.stream("alpha"))
    assert (group["name"], group["last-delivered-id"]) == (GROUP.encode(), b"0-0")


@pytest.mark.leaves("stream", "index", "due")
async def test_a_topic_whose_time_comes_during_a_herd_gets_its_turn(store: Store, waiting: Waiting) -> None:
    """What is due, or is told to be, while a large backlog is moved is moved between its batches, not after it."""
    now_ms = waiting.now_ms()
    await waiting.put(300, now_ms - 1000, "alpha")
    forwarder = _forwarder(store, batch_size=1)
    await forwarder.run_once()  # knows of nothing in the other topic
    await waiting.put(300, now_ms - 1000, "alpha")
    await waiting.put(1, now_ms - 1, "beta")
    forwarder.agenda.sooner((0, "alpha"), 0.0)
    forwarder.agenda.sooner((0, "beta"), time.monotonic() + 0.005)

    while await waiting.left("beta"):
        await forwarder.run_once()

    assert await waiting.left("alpha") > 0
    while await waiting.left("alpha"):
        await forwarder.run_once()


@pytest.mark.leaves("stream", "index")
async def test_what_fails_is_due_again(store: Store, waiting: Waiting) -> None:
    """A topic that could not be looked at is looked at by the next pass, though nothing new is told of it."""
    await waiting.put(3, waiting.now_ms() - 1)
    forwarder = _forwarder(store)
    client = store.partitions[0].client
    store.partitions[0].client = store.partitions[0].waiting(0.1)
    await store.partitions[0].client.connection_pool.disconnect()
    store.partitions[0].client.connection_pool.connection_kwargs["port"] = 1
    with pytest.raises(Outage):
        await forwarder.run_once()
    store.partitions[0].client = client

    assert (await forwarder.run_once()).moved == 3


async def test_a_redis_that_is_gone_is_an_outage(settings: Settings) -> None:
    """Whoever calls learns that it is a state to wait out."""
    nowhere = msgspec.structs.replace(settings.redis, connection_string="redis://127.0.0.1:1/0")
    store = Store(msgspec.structs.replace(settings, redis=nowhere), "test")

    with pytest.raises(Outage):
        await Forwarder(store.partitions, NAMED, DispatcherSettings()).run_once()

    await store.close()


@pytest.mark.leaves("stream", "index", "due", "paused")
async def test_what_is_paused_is_left_alone_until_it_is_resumed(store: Store, waiting: Waiting) -> None:
    """Its messages stay where they are; another topic goes on; after the resumption all of them are moved."""
    await waiting.put(3, waiting.now_ms() - 1, "alpha")
    await waiting.put(2, waiting.now_ms() - 1, "beta")
    forwarder = _forwarder(store)
    await topics.pause(store, "alpha")
    await forwarder.look_for_pauses()

    assert (await forwarder.run_once()).moved == 2
    assert (await forwarder.run_once()).moved == 0
    await topics.resume(store, "alpha")
    await forwarder.look_for_pauses()

    assert (await forwarder.run_once()).moved == 3
