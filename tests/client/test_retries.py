"""What is repeated by itself: whatever passes, wherever a repeat does nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from client import Changed, Conflict, Error, NotFound, Retry, TooMany, Unavailable, Unreachable
from tests.client.faces import AT_ONCE, Face, open_face
from tests.client.misbehaving import Fault, Misbehaving
from tests.producer.api import stored
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves("due", "idempotency", "finished", "index", "schedule", "stream", "dead")

SCHEDULE: dict[str, Any] = {"every": "1h", "message": {"topic": "work"}}
CREATING: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "schedule": (("work",), {"delay": "1d"}),
    "schedule_many": (([{"topic": "work", "delay": "1d"}],), {}),
    "echo_at": (("2035-01-31T09:00:00Z", "hello"), {}),
    "create_schedule": ((), SCHEDULE),
}
LOST: list[Fault] = ["cut before", "cut after"]


async def in_all(redis: Redis, prefix: str) -> int:
    """How many messages and schedules there are."""
    kept = await stored(redis, prefix)
    return sum(kept.get(name, 0) for name in ("due:work", "due:echo", "schedules"))


@pytest.mark.parametrize("name", CREATING)
async def test_what_creates_is_repeated_with_its_key_and_doubles_nothing(
    badly_served: Face, misbehaving: Misbehaving, redis: Redis, prefix: str, name: str
) -> None:
    """The service does it, the answer is lost; then it is busy: the same request comes again, and one thing is there."""
    args, options = CREATING[name]
    misbehaving.faults = ["cut after", 503]

    await badly_served.call(name, *args, **options)
    assert await in_all(redis, prefix) == 1
    await badly_served.call(name, *args, **options)

    first, second, third, another = [one.headers["Idempotency-Key"] for one in misbehaving.seen]
    assert first == second == third != another
    assert len({one.body for one in misbehaving.seen[:3]}) == 1
    assert await in_all(redis, prefix) == 2


async def test_a_key_of_the_caller_is_the_one_that_is_sent(badly_served: Face, misbehaving: Misbehaving) -> None:
    """So that a program that was started anew repeats what it did before."""
    misbehaving.faults = ["cut after"]

    told = await badly_served.call("schedule", "work", delay="1d", idempotency_key="order-17")

    assert told.deduplicated is True
    assert [one.headers["Idempotency-Key"] for one in misbehaving.seen] == ["order-17"] * 2


@pytest.mark.parametrize("fault", [503, 502, 504, 429, *LOST])
async def test_what_passes_is_waited_out(badly_served: Face, misbehaving: Misbehaving, fault: Fault) -> None:
    """Busy, over the limit, or cut off: as often as ``tries`` allow."""
    misbehaving.faults = [fault] * (AT_ONCE.tries - 1)

    assert (await badly_served.call("schedule", "work", delay="1d")).status == "scheduled"
    assert len(misbehaving.seen) == AT_ONCE.tries


@pytest.mark.parametrize(("fault", "kind_of"), [(503, Unavailable), (429, TooMany), ("cut before", Unreachable)])
async def test_after_the_last_try_the_error_comes(
    badly_served: Face, misbehaving: Misbehaving, fault: Fault, kind_of: type[Error]
) -> None:
    """With the key that makes a later repeat safe, and whether it may be done by now."""
    misbehaving.faults = [fault] * 9

    with pytest.raises(kind_of) as error:
        await badly_served.call("schedule", "work", delay="1d", idempotency_key="order-17")

    assert len(misbehaving.seen) == AT_ONCE.tries
    assert (error.value.idempotency_key, error.value.maybe_done) == ("order-17", fault != 429)


async def test_without_retries_the_first_failure_is_the_error(kind: str, misbehaving: Misbehaving) -> None:
    """``Retry(tries=1)`` leaves it to the caller."""
    misbehaving.faults = [503]
    async with open_face(kind, misbehaving.url, retry=Retry(tries=1)) as face:
        with pytest.raises(Unavailable):
            await face.call("get", "x")

    assert len(misbehaving.seen) == 1


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize(
    ("name", "options"),
    [("change", {"deliver_at": "2035-01-31T09:00:00Z", "body": "new"}), ("cancel", {})],
)
async def test_a_change_to_what_it_is_to_be_is_repeated(
    badly_served: Face, misbehaving: Misbehaving, fault: Fault, name: str, options: dict[str, Any]
) -> None:
    """Whether or not the first try was done, the call succeeds and the message is as asked for."""
    message_id = (await badly_served.call("schedule", "work", delay="1d")).id
    misbehaving.faults = [fault]

    told = await badly_served.call(name, message_id, **options)

    now = await badly_served.call("get", message_id)
    assert (told.status, told.durability) == (now.status, "memory")
    assert (now.status, now.body) == (("scheduled", "new") if name == "change" else ("cancelled", None))
    assert len(misbehaving.seen) == 4


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize(
    ("name", "options", "status"),
    [
        ("put_schedule", {**SCHEDULE, "max_runs": 3}, "active"),
        ("change_schedule", {"max_runs": 3}, "active"),
        ("pause_schedule", {}, "paused"),
        ("resume_schedule", {}, "active"),
    ],
)
async def test_a_schedule_is_changed_by_repeats_too(
    badly_served: Face, misbehaving: Misbehaving, fault: Fault, name: str, options: dict[str, Any], status: str
) -> None:
    """Whether or not the first try was done, the call succeeds and the schedule is as asked for."""
    await badly_served.call("put_schedule", "a", **SCHEDULE, paused=name == "resume_schedule")
    misbehaving.faults = [fault]

    told = await badly_served.call(name, "a", **options)

    assert (told.status, told.max_runs) == (status, options.get("max_runs"))
    assert len(misbehaving.seen) == 3


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("fault", LOST)
async def test_a_deletion_whose_answer_was_lost_has_succeeded(
    badly_served: Face, misbehaving: Misbehaving, fault: Fault, *, guarded: bool
) -> None:
    """The first try deleted it, the repeat finds nothing: that is what was asked for. Of how safe it is nothing is known then."""
    made = await badly_served.call("put_schedule", "a", **SCHEDULE)
    misbehaving.faults = [fault]

    told = await badly_served.call("delete_schedule", "a", if_match=made.etag if guarded else None)

    assert (told.id, told.status, told.durability) == ("a", "deleted", None if fault == "cut after" else "memory")
    with pytest.raises(NotFound):
        await badly_served.call("get_schedule", "a")


async def test_a_cancellation_of_what_one_saw_is_repeated(badly_served: Face, misbehaving: Misbehaving) -> None:
    """Also with the tag, which a cancelled message has no more."""
    message_id = (await badly_served.call("schedule", "work", delay="1d")).id
    seen = await badly_served.call("get", message_id)
    misbehaving.faults = ["cut after"]

    assert (await badly_served.call("cancel", message_id, if_match=seen.etag)).status == "cancelled"


@pytest.mark.parametrize(
    ("name", "options"),
    [("deliver_now", {}), ("replay", {}), ("run_schedule", {}), ("change", {"delay": "1d"}), ("change", {"delay": 0})],
)
@pytest.mark.parametrize("fault", ["cut after", 503])
async def test_what_might_happen_twice_is_not_repeated(
    badly_served: Face, misbehaving: Misbehaving, name: str, options: dict[str, Any], fault: Fault
) -> None:
    """One request; the error says that it may have been done."""
    misbehaving.faults = [fault]

    with pytest.raises((Unreachable, Unavailable)) as error:
        await badly_served.call(name, "x", **options)

    assert error.value.maybe_done is True
    assert len(misbehaving.seen) == 1


@pytest.mark.parametrize("name", ["deliver_now", "replay", "run_schedule"])
async def test_what_was_surely_not_done_is_repeated_all_the_same(badly_served: Face, misbehaving: Misbehaving, name: str) -> None:
    """Who is over the limit was refused before anything was done."""
    misbehaving.faults = [429, 429]

    with pytest.raises(NotFound) as error:
        await badly_served.call(name, "x")

    assert error.value.maybe_done is False
    assert len(misbehaving.seen) == 3


async def test_a_tag_that_the_lost_try_itself_has_outdated_blames_nobody(badly_served: Face, misbehaving: Misbehaving) -> None:
    """The change was made, its answer lost, and the repeat does not match: the error is the lost answer, not ``Changed``."""
    message_id = (await badly_served.call("schedule", "work", delay="1d")).id
    seen = await badly_served.call("get", message_id)
    misbehaving.faults = ["cut after"]

    with pytest.raises(Unreachable) as error:
        await badly_served.call("change", message_id, delay="2d", body="new", if_match=seen.etag)

    assert isinstance(error.value.__cause__, Changed)
    assert error.value.maybe_done is True
    assert (await badly_served.call("get", message_id)).body == "new"


async def test_a_refusal_after_a_lost_answer_says_that_it_may_be_done(
    badly_served: Face, misbehaving: Misbehaving, stages: Stages
) -> None:
    """The change made the message due, it was delivered meanwhile: the repeat is too late for it, and the error tells of that."""
    message_id = (await badly_served.call("schedule", "work", delay="1d")).id
    await badly_served.call("deliver_now", message_id)
    await stages.finish(await stages.run("work"))
    misbehaving.faults = ["cut before"]

    with pytest.raises(Conflict) as error:
        await badly_served.call("change", message_id, deliver_at=0)

    assert error.value.maybe_done is True


async def test_pages_are_repeated_one_by_one(badly_served: Face, misbehaving: Misbehaving) -> None:
    """A failure in the middle of a list costs one page and loses no item."""
    for name in "abc":
        await badly_served.call("put_schedule", name, **SCHEDULE)
    misbehaving.faults = [503, "cut after"]

    assert [one.id for one in await badly_served.items("list_schedules", page_size=2)] == ["a", "b", "c"]
    assert [one.path for one in misbehaving.seen[3:]] == ["/schedules?limit=2"] * 3 + ["/schedules?limit=2&cursor=b"]
