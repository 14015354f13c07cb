"""The label index: what the scripts keep in it. ``test_listing_by_label`` reads it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.record import Options
from shared.store import dead_letters, firing, messages, schedules
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.connect import Client
from shared.store.listing.filter import Filter
from tests.store.stage import HOUR_MS, Stage, dead, finished, id_of, retry
from tests.store.test_listing import listed

pytestmark = pytest.mark.leaves("labels", "due:", "index", "stream:", "dead", "errors:", "schedule")
RED = Options(labels=("red",))
ODD = ('"', "\\", '\\"', '","', "a]b", '"labels":["x"]', "ärger", "%a[b", "two words", '\\\\"labels":[', "{}")


async def indexed(stage: Stage) -> list[tuple[str, str]]:
    """Label and id, in the order of the index."""
    members = await stage.client.zrange(stage.keys.labels, 0, -1, withscores=True)
    assert {score for _, score in members} <= {0.0}
    found = [member.decode().split("\t") for member, _ in members]
    assert all(place == message_id[-21:] for _, place, message_id in found)
    return [(label, message_id) for label, _, message_id in found]


async def running(stage: Stage, label: str = "red") -> str:
    (message_id,) = await stage.add(1, options=Options(labels=(label,)))
    await stage.dispatch()
    return message_id


async def test_a_message_without_labels_costs_nothing(stage: Stage) -> None:
    """Not a key of the script, nor an argument, is another one."""
    drafts = [Draft("alpha", "text", b"x", delay_ms=HOUR_MS)]
    plain = await stage.call_of(lambda store: schedule(store, drafts, "a-key"))
    labelled = await stage.call_of(lambda store: schedule(store, [msgspec.structs.replace(drafts[0], options=RED)], "a-key"))
    (entry,) = await stage.running()
    settled = [
        await stage.call_by_worker("w1", lambda worker, end=end: worker.settle([end], 1000))  # type: ignore[misc]
        for end in (finished(entry), retry(entry))
    ]

    assert labelled.keys == [*plain.keys, stage.keys.labels]
    assert len(labelled.arguments) == len(plain.arguments) == 6
    assert [call.keys[-1] for call in settled] == [entry.stream, stage.keys.due("alpha")]
    assert [len(call.arguments) for call in settled] == [6 + 5 + 3, 6 + 12]
    await stage.settle(finished(entry, text=""))


async def test_every_label_is_indexed_and_goes_whatever_it_is(stage: Stage, redis: Client) -> None:
    """Those that JSON escapes, and those that look like JSON or like a pattern: added by one script, removed by another."""
    options = Options(labels=ODD, headers={"labels": '"labels":["no"]', 'x"labels': "["}, content_type='a/b; c="labels":["no"]')
    draft = Draft("alpha", "text", b'"labels":["body"]', delay_ms=HOUR_MS, options=options)

    (message_id,) = (await schedule(stage.store, [draft])).ids

    assert sorted(await indexed(stage)) == sorted((label, message_id) for label in ODD)
    for label in ODD:
        assert await listed(stage, Filter(label=label)) == [message_id]
    await messages.cancel(stage.store, message_id)
    assert await redis.exists(stage.keys.labels) == 0


async def test_many_in_one_chunk_with_and_without(stage: Stage) -> None:
    """More members than a call of Redis takes arguments; two topics, and messages without labels among them."""
    many = tuple(f"label-{number}" for number in range(20))
    drafts = [
        Draft(topic, "text", b"x", delay_ms=HOUR_MS, options=Options(labels=many) if number % 2 else Options())
        for number in range(220)
        for topic in ("alpha", "beta")
    ]

    accepted = await schedule(stage.store, drafts, "a-key")

    expected = [(label, one) for one, draft in zip(accepted.ids, drafts, strict=True) for label in draft.options.labels]
    assert sorted(await indexed(stage)) == sorted(expected)
    await schedule(stage.store, drafts, "a-key")
    assert len(await indexed(stage)) == len(expected) == 4400


async def test_singles_that_come_at_once_keep_their_own_labels(stage: Stage) -> None:
    """Those with labels go together, and those without."""
    drafts = [Draft("alpha", "text", b"x", delay_ms=HOUR_MS, options=RED if number % 2 else Options()) for number in range(20)]

    accepted = await asyncio.gather(*(schedule(stage.store, [draft]) for draft in drafts))

    assert sorted(await indexed(stage)) == sorted(("red", one.ids[0]) for one in accepted[1::2])
    assert len(await stage.waiting()) == 20


@pytest.mark.parametrize(("outcome", "stays"), [("finished", False), ("retry", True), ("dead", False)])
async def test_a_label_stays_through_a_retry_and_goes_at_the_end(stage: Stage, outcome: str, *, stays: bool) -> None:
    """Its neighbours' stay, of the same message's topic and label."""
    ids = [await running(stage) for _ in range(2)]
    entry, _other = await stage.read(2)
    end = {"finished": finished, "retry": retry, "dead": dead}[outcome](entry, labels=("red",))  # type: ignore[operator]

    assert await stage.settle(end, finished((await stage.running())[0])) == [True, True]

    assert await indexed(stage) == [("red", one) for one in sorted(ids) if stays or one != id_of(entry)]


async def test_a_late_settlement_removes_no_label(stage: Stage) -> None:
    """Another worker holds it now."""
    message_id = await running(stage)
    (entry,) = await stage.read()
    await stage.let_idle(entry, 0, 2, "w2")

    assert await stage.settle(finished(entry, labels=("red",))) == [False]

    assert await indexed(stage) == [("red", message_id)]


async def test_a_retry_of_what_a_stranger_deleted_removes_its_labels(stage: Stage) -> None:
    """Nothing is left to retry."""
    await running(stage)
    (entry,) = await stage.read()
    await stage.client.xdel(entry.stream, entry.entry_id)

    await stage.settle(retry(entry, labels=("red",)))

    assert await indexed(stage) == []


async def test_a_ready_one_that_is_cancelled_loses_its_label(stage: Stage) -> None:
    """Taken from its stream."""
    message_id = await running(stage)

    await messages.cancel(stage.store, message_id)

    assert await indexed(stage) == []


@pytest.mark.parametrize("change", [dead_letters.NO_CHANGE, dead_letters.Change(priority="high")])
async def test_a_replay_brings_the_labels_back(stage: Stage, change: dead_letters.Change) -> None:
    """Also with another record; while it is dead it is found by the list of dead letters alone."""
    message_id = await running(stage)
    await stage.settle(dead(*await stage.read(), labels=("red",)))
    assert await indexed(stage) == []
    assert await listed(stage, Filter(label="red")) == []
    assert await listed(stage, Filter(label="red", state="dead")) == [message_id]

    await dead_letters.replay(stage.store, message_id, await stage.now_ms() + HOUR_MS, change=change)

    assert await indexed(stage) == [("red", message_id)]
    assert await listed(stage, Filter(label="red")) == [message_id]


async def test_a_schedules_messages_have_its_labels(stage: Stage) -> None:
    """By the rule and beside it; and the one before is still found by the index's neighbour, the due sets of its topic."""
    await stage.schedule("hourly", labels=("red", "blue"), overlap="skip")
    first = await stage.fire("hourly")
    await stage.make_due("hourly")
    skipped = await firing.fire(stage.partition, await schedules.get(stage.store, "hourly"))
    second = (await firing.run_now(stage.store, "hourly"))[0].message_id

    assert skipped.verdict == "skipped"
    assert await indexed(stage) == [(label, one) for label in ("blue", "red") for one in (first, second)]


async def test_what_is_changed_keeps_its_labels(stage: Stage) -> None:
    """Another time, body and lane."""
    (message_id,) = await stage.add(await stage.now_ms() + HOUR_MS, options=RED)

    await messages.change(stage.store, message_id, due_ms=await stage.now_ms() + 2 * HOUR_MS, priority="low")

    assert await indexed(stage) == [("red", message_id)]
    assert await listed(stage, Filter(label="red")) == [message_id]
