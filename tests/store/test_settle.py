"""settle.lua, through ``Deliveries.settle``."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from redis.exceptions import ResponseError

from shared.record import Record, encode_record
from shared.store import messages
from shared.store.chunks import Draft
from shared.store.connect import Client
from shared.store.entries import Settlement
from shared.store.following import follow
from shared.store.keys import GROUP
from shared.store.scripts import SETTLE, Argument
from tests.store.conftest import Wakes
from tests.store.stage import (
    HEADER,
    HOUR_MS,
    KEPT,
    Stage,
    contents,
    dead,
    error_text,
    finished,
    id_of,
    lease_of,
    retry,
    score_of,
)


async def test_a_finished_delivery_leaves_only_what_is_kept(stage: Stage, redis: Client) -> None:
    """Entry, lease, index and errors are gone; outcome and times stay until their retention has passed."""
    entry = await stage.running_again()
    message_id = id_of(entry)
    before_ms = await stage.now_ms()

    assert await stage.settle(finished(entry, errors_exist=True)) == [True]

    assert await stage.pending() == []
    assert await redis.xlen(entry.stream) == 0
    assert await redis.exists(stage.keys.index, stage.keys.errors(message_id), stage.keys.due("alpha")) == 0
    kept = f"{KEPT}\n[{error_text(1)}]"
    assert await redis.hgetall(stage.keys.finished) == {message_id.encode(): kept.encode()}
    assert [one.error for one in (await messages.get(stage.store, message_id)).errors] == ["no"]
    expires_ms = await redis.zscore(stage.keys.finished_expiry, message_id)
    assert before_ms + HOUR_MS <= expires_ms <= await stage.now_ms() + HOUR_MS
    assert await stage.status(message_id) == "delivered"


@pytest.mark.parametrize(("text", "retention_ms"), [("", HOUR_MS), (KEPT, 0), ("", 0)])
async def test_without_retention_nothing_is_kept(stage: Stage, redis: Client, text: str, retention_ms: int) -> None:
    """A message whose retention is nothing leaves no byte."""
    (entry,) = await stage.running()

    assert await stage.settle(finished(entry, text=text, retention_ms=retention_ms)) == [True]

    assert await redis.exists(stage.keys.finished, stage.keys.finished_expiry, stage.keys.index) == 0
    assert await stage.status(id_of(entry)) == "absent"


@pytest.mark.leaves("due:", "index", "errors:")
async def test_a_retry_waits_for_its_own_time(stage: Stage, redis: Client) -> None:
    """The record is back in the due set, unchanged, at now + delay and its own tie, with attempts, deferrals and the error."""
    (entry,) = await stage.running()
    message_id = id_of(entry)
    before_ms = await stage.now_ms()

    assert await stage.settle(retry(entry, delay_ms=5_000, attempts=2, deferrals=3, text=error_text(2))) == [True]

    ((member, score),) = await redis.zrange(stage.keys.due("alpha"), 0, -1, withscores=True)
    assert member == entry.record
    assert before_ms + 5_000 <= int(score) <= await stage.now_ms() + 5_000
    assert score % 1 == score_of(message_id) % 1
    assert await redis.hgetall(stage.keys.index) == {message_id.encode(): f"due {score:.17g} 2 3".encode()}
    assert await redis.lrange(stage.keys.errors(message_id), 0, -1) == [error_text(2).encode()]
    assert (await stage.pending(), await redis.xlen(entry.stream)) == ([], 0)
    view = await messages.get(stage.store, message_id)
    assert (view.status, view.attempts, view.due_ms) == ("retrying", 2, int(score))
    assert [one.attempt for one in view.errors] == [2]


@pytest.mark.leaves("due:", "index")
async def test_a_retry_without_an_error_leaves_none(stage: Stage, redis: Client) -> None:
    """A record that waits for a newer worker has not failed."""
    (entry,) = await stage.running()
    settlement = Settlement(lease_of(entry), id_of(entry), "alpha", "retry", number=HOUR_MS)

    assert await stage.settle(settlement) == [True]

    assert await redis.exists(stage.keys.errors(id_of(entry))) == 0
    assert await redis.hget(stage.keys.index, id_of(entry)) == b"due " + await _score_text(redis, stage) + b" 0"


async def _score_text(redis: Client, stage: Stage) -> bytes:
    ((_, score),) = await redis.zrange(stage.keys.due("alpha"), 0, -1, withscores=True)
    return f"{score:.17g}".encode()


@pytest.mark.leaves("dead")
async def test_a_dead_letter_keeps_reason_errors_and_record(stage: Stage, redis: Client) -> None:
    """Everything about it lies in the dead letter, its errors in their order; nothing else of it is left."""
    entry = await stage.running_again()
    message_id = id_of(entry)
    before_ms = await stage.now_ms()

    assert await stage.settle(dead(entry, text=error_text(2, "at last"))) == [True]

    errors = f"[{error_text(1)},{error_text(2, 'at last')}]"
    assert await redis.hgetall(stage.keys.dead_records) == {message_id.encode(): f"{HEADER}\n{errors}\n".encode() + entry.record}
    assert before_ms <= await redis.zscore(stage.keys.dead, message_id) <= await stage.now_ms()
    assert await redis.exists(stage.keys.index, stage.keys.errors(message_id), stage.keys.due("alpha")) == 0
    assert (await stage.pending(), await redis.xlen(entry.stream)) == ([], 0)
    view = await messages.get(stage.store, message_id)
    assert (view.status, view.reason, view.stored) == ("dead", "spent", entry.record)
    assert [one.error for one in view.errors] == ["no", "at last"]


@pytest.mark.leaves("dead")
async def test_a_dead_letter_may_have_no_error(stage: Stage) -> None:
    """What its lost workers never told is an empty list, not a broken letter."""
    (entry,) = await stage.running()

    await stage.settle(Settlement(lease_of(entry), id_of(entry), "alpha", "dead", header=HEADER))

    view = await messages.get(stage.store, id_of(entry))
    assert (view.status, view.errors, view.stored) == ("dead", (), entry.record)


@pytest.mark.leaves("dead")
async def test_the_last_twenty_errors_are_kept(stage: Stage) -> None:
    """However often a message failed, its errors do not grow."""
    (entry,) = await stage.running()
    for attempt in range(1, 25):
        await stage.settle(retry(entry, attempts=attempt))
        await stage.dispatch()
        (entry,) = await stage.read()
    assert [one.attempt for one in (await messages.get(stage.store, id_of(entry))).errors] == list(range(5, 25))

    await stage.settle(dead(entry, text=error_text(25)))

    assert [one.attempt for one in (await messages.get(stage.store, id_of(entry))).errors] == list(range(6, 26))


@pytest.mark.leaves("index", "stream:")
@pytest.mark.parametrize("outcome", ["finished", "retry", "dead"])
@pytest.mark.parametrize("fence", ["another worker", "another delivery", "settled before", "no stream"])
async def test_a_settlement_without_the_lease_writes_nothing(
    stage: Stage, redis: Client, prefix: str, fence: str, outcome: str
) -> None:
    """Whoever does not hold the lease now is refused, whatever the outcome."""
    (entry,) = await stage.running()
    settlement = {"finished": finished(entry), "retry": retry(entry), "dead": dead(entry)}[outcome]
    worker = "w1"
    if fence == "another worker":
        worker = "w2"
    elif fence == "another delivery":
        await stage.let_idle(entry, 0, 2)
    elif fence == "settled before":
        await stage.settle(finished(entry))
    else:
        await redis.delete(entry.stream)
    before = await contents(redis, prefix)

    assert await stage.settle(settlement, worker=worker) == [False]

    assert await contents(redis, prefix) == before


@pytest.mark.leaves("index", "stream:")
async def test_the_old_owner_is_refused_and_the_new_one_is_not(stage: Stage) -> None:
    """After a claim only the claim's own delivery count settles."""
    (entry,) = await stage.running()
    await stage.let_idle(entry, 60_000, 1)
    _, (claimed,) = await stage.worker("w2").claim(entry.stream, "-", 1_000, 60_000, 1, 1)
    assert claimed.deliveries == 2

    assert await stage.settle(finished(entry)) == [False]
    assert await stage.settle(finished(entry), worker="w2") == [False]
    assert await stage.settle(finished(claimed), worker="w2") == [True]


@pytest.mark.leaves("due:", "index", "errors:")
async def test_an_entry_settled_twice_in_one_batch_counts_once(stage: Stage, redis: Client) -> None:
    """The first of the two takes effect, the second is refused."""
    (entry,) = await stage.running()

    assert await stage.settle(retry(entry, delay_ms=HOUR_MS), retry(entry)) == [True, False]

    assert await stage.status(id_of(entry)) == "retrying"
    assert await redis.exists(stage.keys.finished) == 0


@pytest.mark.leaves("index", "stream:")
async def test_a_batch_settles_what_is_held_and_refuses_the_rest(stage: Stage) -> None:
    """One lost lease does not hold up its neighbours; the answers are in the order of the batch."""
    first, lost, last = await stage.running(3)
    (other,) = await stage.running(topic="beta")
    await stage.let_idle(lost, 0, 3, worker="w2")

    assert await stage.settle(*[finished(one) for one in (first, lost, other, last)]) == [True, False, True, True]

    statuses = [await stage.status(id_of(one)) for one in (first, lost, other, last)]
    assert statuses == ["delivered", "running", "delivered", "delivered"]


@pytest.mark.leaves("dead")
async def test_an_entry_that_a_stranger_deleted_can_still_be_settled(stage: Stage, redis: Client) -> None:
    """Its lease ends whatever the outcome; there is nothing to retry, and the dead letter says what is known."""
    gone = await stage.running(3)
    await redis.xdel(gone[0].stream, *[one.entry_id for one in gone])

    assert await stage.settle(finished(gone[0]), retry(gone[1]), dead(gone[2])) == [True, True, True]

    assert await stage.pending() == []
    assert await redis.exists(stage.keys.index, stage.keys.due("alpha")) == 0
    assert [await stage.status(id_of(one)) for one in gone] == ["delivered", "absent", "dead"]
    assert (await messages.get(stage.store, id_of(gone[2]))).stored == b""


async def test_the_finished_store_has_a_cap(stage: Stage, redis: Client) -> None:
    """Beyond the cap the messages that expire first go first."""
    entries = await stage.running(4)
    ends = [finished(one, retention_ms=HOUR_MS + place) for place, one in zip((3, 1, 4, 2), entries, strict=True)]

    await stage.settle(*ends, max_finished=2)

    assert set(await redis.hkeys(stage.keys.finished)) == {id_of(entries[0]).encode(), id_of(entries[2]).encode()}
    assert await redis.zrange(stage.keys.finished_expiry, 0, -1) == [id_of(entries[0]).encode(), id_of(entries[2]).encode()]


async def test_what_is_over_goes_with_the_next_that_finishes(stage: Stage, redis: Client) -> None:
    """A finished message past its retention is removed in passing, so the store is within its age without a janitor."""
    old, new = await stage.running(2)
    await stage.settle(finished(old))
    await redis.zadd(stage.keys.finished_expiry, {id_of(old): await stage.now_ms()})

    await stage.settle(finished(new))

    assert await redis.hkeys(stage.keys.finished) == [id_of(new).encode()]
    assert await redis.zrange(stage.keys.finished_expiry, 0, -1) == [id_of(new).encode()]


@pytest.mark.leaves("index", "stream:")
@pytest.mark.parametrize("fault", ["outcome", "number", "due set"])
async def test_bad_arguments_refuse_the_whole_batch_before_anything_is_written(
    stage: Stage, redis: Client, prefix: str, fault: str
) -> None:
    """A caller's mistake in the last settlement of a batch loses no message."""
    entries = await stage.running(2)
    ends = [finished(entries[0]), retry(entries[1])]
    call = await stage.call_by_worker("w1", lambda worker: worker.settle(ends, 1000))
    outcome = call.arguments.index("retry")
    bad: dict[str, tuple[int, Argument]] = {
        "outcome": (outcome, "vanish"),
        "number": (outcome + 3, "soon"),
        "due set": (outcome + 4, 0),
    }
    position, value = bad[fault]
    call.arguments[position] = value
    before = await contents(redis, prefix)

    with pytest.raises(ResponseError):
        await SETTLE.run(stage.client, call.keys, call.arguments)

    assert await contents(redis, prefix) == before


@pytest.mark.leaves("due:", "index", "stream:")
async def test_a_retry_of_an_id_of_another_format_is_kept(stage: Stage, redis: Client) -> None:
    """A newer release may make other ids: put back for a newer worker, such a message is not lost."""
    await redis.zadd(stage.keys.due("alpha"), {b"x~1 v9 whatever\nbody": 1})
    await stage.dispatch()
    (entry,) = await stage.read()

    assert await stage.settle(Settlement(lease_of(entry), "x~1", "alpha", "retry")) == [True]

    assert await redis.zrange(stage.keys.due("alpha"), 0, -1) == [b"x~1 v9 whatever\nbody"]
    assert await stage.dispatch() == 1


@pytest.mark.leaves("due:", "index", "errors:")
async def test_a_retry_wakes_the_dispatchers_only_when_it_became_the_earliest(stage: Stage, wakes: Wakes) -> None:
    """Behind the head nothing is published; before it, its own time is."""
    near, far = await stage.running(2)
    head_ms = await stage.now_ms() + HOUR_MS
    await stage.add(head_ms)
    assert await wakes.heard() == [f"alpha {near.due_ms}", f"alpha {head_ms}"]

    await stage.settle(retry(far, delay_ms=2 * HOUR_MS))
    assert await wakes.heard() == []

    await stage.settle(retry(near, delay_ms=HOUR_MS // 2))
    assert await wakes.heard() == [f"alpha {int((await stage.waiting())[id_of(near)])}"]


async def test_a_delivery_that_is_over_and_named_twice_counts_once(stage: Stage, redis: Client) -> None:
    """Whatever else is said of it in the same call, what was delivered stays delivered."""
    (entry,) = await stage.running()

    assert await stage.settle(retry(entry, delay_ms=HOUR_MS), finished(entry), finished(entry)) == [False, True, False]

    assert await redis.exists(stage.keys.due("alpha")) == 0
    assert await redis.hkeys(stage.keys.finished) == [id_of(entry).encode()]


async def test_a_bundle_is_fenced_one_by_one(stage: Stage, redis: Client) -> None:
    """Among deliveries that are over at the first try, one whose lease is another's is refused and the others take effect."""
    entries = await stage.running(5)
    lost = entries[2]
    await redis.xclaim(lost.stream, GROUP, "w2", 0, [lost.entry_id])

    assert await stage.settle(*[finished(entry) for entry in entries]) == [True, True, False, True, True]

    assert [row[0] for row in await redis.xrange(lost.stream)] == [lost.entry_id.encode()]
    assert sorted(await redis.hkeys(stage.keys.finished)) == sorted(id_of(one).encode() for one in entries if one is not lost)
    assert await stage.settle(replace(finished(lost), lease=lease_of(lost, 2)), worker="w2") == [True]


async def test_a_bundle_far_apart_in_a_long_line_is_found(stage: Stage, redis: Client) -> None:
    """However many other deliveries the worker holds in between, the leases of a bundle are found."""
    entries = await stage.running(400)

    assert await stage.settle(finished(entries[0]), finished(entries[-1])) == [True, True]
    assert await redis.xlen(entries[0].stream) == 398

    assert all(await stage.settle(*[finished(entry) for entry in entries[1:-1]]))


async def test_entries_of_strangers_are_settled_in_a_bundle(stage: Stage, redis: Client) -> None:
    """Entry ids of any length belong to one range: a stranger may have begun a stream with small ones."""
    ids = ["7-1", "7-10", "12-3", "1790000000000-0"]
    stream = stage.keys.stream("alpha")
    for number, entry_id in enumerate(ids):
        record = encode_record(Record(f"alpha-0-{number:021d}", 1, "text", b"body"))
        await redis.xadd(stream, {"due": 1, "attempts": 0, "message": record}, id=entry_id)
    entries = await stage.read(count=4)

    assert [entry.entry_id for entry in entries] == ids
    assert await stage.settle(*[finished(entry) for entry in reversed(entries)]) == [True] * 4
    assert await redis.xlen(stream) == 0


@pytest.mark.leaves("due:")
async def test_an_end_makes_its_new_messages_with_it_and_once(stage: Stage, redis: Client, wakes: Wakes) -> None:
    """They wait where they belong, the dispatchers hear of the earliest, and a repeat or a fenced end makes none."""
    entry, other = await stage.running(2)
    now_ms = await stage.now_ms()
    await wakes.heard()
    soon, late = (follow(Draft(topic, "text", b"x", due_ms=now_ms + HOUR_MS), 0, now_ms) for topic in ("alpha", "beta"))
    fenced = replace(finished(other), lease=lease_of(other, 7), follows=(follow(Draft("beta", "text", b"y"), 0, now_ms),))

    assert await stage.settle(replace(finished(entry), follows=(soon, late)), fenced) == [True, False]
    assert sorted(await wakes.heard()) == [f"alpha {soon.due_ms}", f"beta {late.due_ms}"]
    assert await stage.settle(replace(finished(entry), follows=(soon, late))) == [False]

    assert await redis.zrange(stage.keys.due("alpha"), 0, -1, withscores=True) == [(soon.record, float(soon.score))]
    assert await redis.zrange(stage.keys.due("beta"), 0, -1, withscores=True) == [(late.record, float(late.score))]
    assert [(await messages.get(stage.store, one.id)).status for one in (soon, late)] == ["scheduled"] * 2
    assert await stage.settle(finished(other)) == [True]
