"""Wake-ups: heard of an earlier arrival, of nothing else; the subscription heals and shows that it lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.errors import Outage
from shared.store import subscription
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.due import WakeUps
from shared.store.messages import cancel, change, deliver_now
from shared.store.partition import Store
from tests.dispatcher.waiting_messages import Waiting
from tests.support.waiting import eventually

HOUR_MS = 3_600_000


@pytest.fixture
async def wake_ups(store: Store) -> AsyncIterator[WakeUps]:
    """A subscription that is confirmed."""
    made = WakeUps(store.partitions[0])
    assert await made.next() is None  # the confirmation
    yield made
    await made.close()


async def _heard(store: Store, wake_ups: WakeUps) -> list[tuple[str, int]]:
    """Everything published so far."""
    await store.partitions[0].client.publish(store.partitions[0].keys.wake_channel, "end 0")
    heard = []
    while (wake_up := await wake_ups.next()) != ("end", 0):
        if wake_up is not None:
            heard.append(wake_up)
    return heard


def _draft(due_ms: int, topic: str = "alpha") -> Draft:
    return Draft(topic, "text", b"hello", due_ms=due_ms)


@pytest.mark.leaves("due", "index")
async def test_only_an_earlier_arrival_is_published(store: Store, waiting: Waiting, wake_ups: WakeUps) -> None:
    """The first message of a topic and each that becomes its earliest are heard of, with topic and due time; others not."""
    soon_ms = waiting.now_ms() + HOUR_MS

    for due_ms in (soon_ms, soon_ms + 1, soon_ms - 10, soon_ms - 10 + 1, soon_ms - 20):
        await schedule(store, [_draft(due_ms)])
    await schedule(store, [_draft(soon_ms + 5, "beta")])

    assert await _heard(store, wake_ups) == [
        ("alpha", soon_ms),
        ("alpha", soon_ms - 10),
        ("alpha", soon_ms - 20),
        ("beta", soon_ms + 5),
    ]


@pytest.mark.leaves("due", "index")
async def test_a_batch_is_one_wake_up_a_topic(store: Store, waiting: Waiting, wake_ups: WakeUps) -> None:
    """Of a batch the earliest message of each topic is told, once."""
    soon_ms = waiting.now_ms() + HOUR_MS
    times_ms = [soon_ms + 7, soon_ms + 3, soon_ms + 9]

    await schedule(store, [_draft(due_ms, topic) for due_ms in times_ms for topic in ("alpha", "beta")])

    assert sorted(await _heard(store, wake_ups)) == [("alpha", soon_ms + 3), ("beta", soon_ms + 3)]


@pytest.mark.leaves("due", "index", "finished")
async def test_a_message_that_becomes_earlier_is_heard_of(store: Store, waiting: Waiting, wake_ups: WakeUps) -> None:
    """Moved to an earlier time or to now: heard. Moved to a later time or cancelled: not."""
    soon_ms = waiting.now_ms() + HOUR_MS
    (message_id,) = (await schedule(store, [_draft(soon_ms)])).ids
    (later_id,) = (await schedule(store, [_draft(soon_ms + 500)])).ids
    assert await _heard(store, wake_ups) == [("alpha", soon_ms)]

    await change(store, later_id, due_ms=soon_ms + 1_000)
    assert await _heard(store, wake_ups) == []
    await change(store, later_id, due_ms=soon_ms - 5)
    assert await _heard(store, wake_ups) == [("alpha", soon_ms - 5)]
    await cancel(store, later_id)
    assert await _heard(store, wake_ups) == []
    view = await deliver_now(store, message_id)
    assert await _heard(store, wake_ups) == [("alpha", view.due_ms)]


@pytest.mark.leaves("due")
async def test_a_killed_connection_is_an_outage_and_then_heals(store: Store, waiting: Waiting, wake_ups: WakeUps) -> None:
    """The one who waits learns of it at once; the next call subscribes anew and hears what comes then."""
    listening = asyncio.create_task(wake_ups.next())
    killed = await waiting.redis.client_kill_filter(_type="pubsub", skipme=True)
    assert killed >= 1

    with pytest.raises(Outage):
        await listening

    assert await wake_ups.next() is None  # subscribed again
    soon_ms = waiting.now_ms() + HOUR_MS
    await schedule(store, [_draft(soon_ms)])
    assert await wake_ups.next() == ("alpha", soon_ms)


async def test_silence_gets_a_ping(store: Store, waiting: Waiting, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent subscription is asked for a sign of life, gives one, and goes on, as often as needed."""
    monkeypatch.setattr(subscription, "SILENCE_S", 0.01)
    channel = store.partitions[0].keys.wake_channel

    for _ in range(3):
        assert await wake_ups.next() is None
        assert wake_ups._subscription._asked is True
        assert await wake_ups.next() is None  # the answer
        assert wake_ups._subscription._asked is False

    await waiting.redis.publish(channel, "alpha 42")
    assert await wake_ups.next() == ("alpha", 42)


async def test_a_subscription_that_gives_no_sign_of_life_is_given_up(
    store: Store, waiting: Waiting, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers no ping is an outage; when it answers again, so does the next subscription."""
    monkeypatch.setattr(subscription, "SILENCE_S", 0.05)

    async def silent() -> None:
        for _ in range(3):
            await wake_ups.next()

    await waiting.redis.client_pause(300)
    with pytest.raises(Outage, match="no sign of life"):
        await silent()

    await waiting.redis.client_unpause()
    assert await wake_ups.next() is None
    await waiting.redis.publish(store.partitions[0].keys.wake_channel, "alpha 42")
    assert await eventually(wake_ups.next) == ("alpha", 42)


async def test_closing_ends_the_subscription(store: Store, waiting: Waiting, wake_ups: WakeUps) -> None:
    """Nobody listens any more; closing again is no error."""
    channel = store.partitions[0].keys.wake_channel
    assert await waiting.redis.pubsub_numsub(channel) == [(channel.encode(), 1)]

    await wake_ups.close()
    await wake_ups.close()

    async def unheard() -> bool:
        return bool(await waiting.redis.pubsub_numsub(channel) == [(channel.encode(), 0)])

    await eventually(unheard)
