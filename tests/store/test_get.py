"""get.lua, through ``messages.get``."""

from __future__ import annotations

import pytest

from shared.errors import NotFound
from shared.ids import make_id
from shared.store import messages
from shared.store.connect import Client
from tests.store.stage import HOUR_MS, Stage, contents, finished, id_of, retry, score_of

TIE = 5 << 50


@pytest.mark.leaves("due:")
async def test_a_message_that_was_never_moved_is_found_by_its_id(stage: Stage, redis: Client) -> None:
    """Without an index entry its id leads to its score: scheduled, with its record."""
    due_ms = await stage.now_ms() + HOUR_MS
    message_id, _ = await stage.add(due_ms, due_ms + 1, body=b"hello")

    view = await messages.get(stage.store, message_id)

    assert (view.id, view.topic, view.status, view.due_ms, view.attempts) == (message_id, "alpha", "scheduled", due_ms, 0)
    assert view.record is not None
    assert (view.record.body, view.errors, view.worker) == (b"hello", (), "")
    assert await redis.exists(stage.keys.index) == 0


@pytest.mark.leaves("due:")
@pytest.mark.parametrize("count", [1, 2, 3, 500])
async def test_any_member_of_one_score_is_found_by_bisection(stage: Stage, count: int) -> None:
    """Among messages of one millisecond and one tie each is found, and an id between them is not."""
    due_ms = await stage.now_ms() + HOUR_MS
    digits = [37 * number * 2**40 for number in range(count)] if count < 25 else [number * 2**41 for number in range(count)]
    ids = await stage.add(*[due_ms] * count, bits=[TIE | one for one in digits])
    assert len(set((await stage.waiting()).values())) == 1

    for message_id in {*ids[:5], *ids[-5:], *ids[::50]}:
        assert (await messages.get(stage.store, message_id)).id == message_id
        assert (await messages.get(stage.store, message_id)).stored.startswith(message_id.encode())
    for one in (digits[0] + 1, digits[-1] + 1, digits[count // 2] + 7):
        with pytest.raises(NotFound):
            await messages.get(stage.store, make_id("alpha", 0, due_ms, TIE | one))


@pytest.mark.leaves("due:", "index")
async def test_moved_messages_are_found_at_their_new_score(stage: Stage) -> None:
    """Messages of different first times that were moved to one score are told apart there."""
    now_ms = await stage.now_ms()
    times = range(now_ms + HOUR_MS, now_ms + HOUR_MS + 40)
    ids = await stage.add(*times, bits=[TIE | 40 - number for number in range(40)])  # the later, the smaller the rest of the id
    for message_id in ids:
        await messages.change(stage.store, message_id, due_ms=now_ms + 3 * HOUR_MS)
    assert len(set((await stage.waiting()).values())) == 1

    views = [await messages.get(stage.store, message_id) for message_id in ids]

    assert [(view.id, view.due_ms) for view in views] == [(message_id, now_ms + 3 * HOUR_MS) for message_id in ids]
    assert all(view.stored.startswith(view.id.encode()) for view in views)


@pytest.mark.leaves("due:", "index", "errors:")
async def test_a_retry_shows_its_attempts_and_errors(stage: Stage) -> None:
    """What failed is waiting again, and its errors are in their order."""
    entry = await stage.running_again()
    await stage.settle(retry(entry, delay_ms=HOUR_MS, attempts=2))

    view = await messages.get(stage.store, id_of(entry))

    assert (view.status, view.attempts, view.stored) == ("retrying", 2, entry.record)
    assert [(one.attempt, one.error, one.worker) for one in view.errors] == [(1, "no", "w1"), (2, "no", "w1")]


@pytest.mark.leaves("index", "stream:")
async def test_a_message_in_its_stream_is_ready_until_somebody_holds_it(stage: Stage) -> None:
    """Ready, then running with its worker's name, the due time the same."""
    (message_id,) = await stage.ready()
    due_ms = int(score_of(message_id))

    ready = await messages.get(stage.store, message_id)
    await stage.read(worker="w7")
    running = await messages.get(stage.store, message_id)

    assert (ready.status, ready.due_ms, ready.worker) == ("ready", due_ms, "")
    assert (running.status, running.due_ms, running.worker) == ("running", due_ms, "w7")
    assert running.stored == ready.stored


@pytest.mark.leaves("index", "stream:", "errors:")
@pytest.mark.parametrize(("deliveries", "attempts"), [(1, 1), (2, 1), (3, 2), (5, 4)])
async def test_lost_deliveries_of_a_running_message_are_attempts(stage: Stage, deliveries: int, attempts: int) -> None:
    """A delivery lost for at least the second time is among the attempts that failed."""
    entry = await stage.running_again()
    await stage.let_idle(entry, 0, deliveries)

    view = await messages.get(stage.store, id_of(entry))

    assert (view.status, view.attempts) == ("running", attempts)
    assert len(view.errors) == 1


async def test_a_finished_message_says_what_is_kept(stage: Stage) -> None:
    """Outcome and times, without body."""
    (entry,) = await stage.running()
    await stage.settle(finished(entry))

    view = await messages.get(stage.store, id_of(entry))

    assert (view.status, view.due_ms, view.attempts, view.record) == ("delivered", 1, 1, None)
    assert view.finished is not None
    assert view.finished.settled_ms == 2


@pytest.mark.leaves("dead")
async def test_a_dead_letter_says_why(stage: Stage) -> None:
    """Reason, time of death, errors and record."""
    before_ms = await stage.now_ms()
    message_id = await stage.dead()

    view = await messages.get(stage.store, message_id)

    assert (view.status, view.reason, view.attempts) == ("dead", "spent", 5)
    assert before_ms <= view.died_ms <= await stage.now_ms()
    assert view.record is not None
    assert view.record.id == message_id


@pytest.mark.leaves("dead")
async def test_a_dead_letter_without_its_record_is_absent(stage: Stage, redis: Client) -> None:
    """What somebody deleted by hand is not shown in halves."""
    message_id = await stage.dead()
    await redis.hdel(stage.keys.dead_records, message_id)

    with pytest.raises(NotFound):
        await messages.get(stage.store, message_id)


@pytest.mark.leaves("index", "stream:")
@pytest.mark.parametrize("deleted", ["entry", "stream"])
async def test_what_a_stranger_deleted_is_absent(stage: Stage, redis: Client, deleted: str) -> None:
    """An index entry that leads nowhere finds no message."""
    (entry,) = await stage.running()
    await (redis.xdel(entry.stream, entry.entry_id) if deleted == "entry" else redis.delete(entry.stream))

    with pytest.raises(NotFound):
        await messages.get(stage.store, id_of(entry))


@pytest.mark.parametrize("message_id", ["", "alpha", "alpha-0-short", "alpha-7-000000000000000000000", "alpha-0-" + "0" * 21])
async def test_an_id_of_no_message_is_absent(stage: Stage, redis: Client, prefix: str, message_id: str) -> None:
    """No id, an id of a partition that is not there, and an id of nothing are all not found, and looking writes nothing."""
    before = await contents(redis, prefix)

    with pytest.raises(NotFound):
        await messages.get(stage.store, message_id)

    assert await contents(redis, prefix) == before
