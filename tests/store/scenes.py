"""A realistic state and a call for every script: what the tests over all scripts share.

The keys and arguments are those that the store's own functions make.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from shared.record import NO_OPTIONS, Options
from shared.settings import LimitSettings, RetentionSettings
from shared.store import accept, dead_letters, due, firing, flow, following, messages, rates, schedules, scripts, webhook_fields
from shared.store.chunks import Draft
from shared.store.flow import Limit as FlowLimit
from shared.store.partition import Store
from shared.store.rates import Limit
from shared.store.scripts import Argument, Script
from shared.store.tallies import Tally
from tests.store.flowing import Flowing
from tests.store.stage import HOUR_MS, Call, Stage, dead, finished, id_of, lease_of, retry


@dataclass(frozen=True)
class Scene:
    keys: list[str]
    arguments: list[Argument]
    first: Any
    """What the script answers, as ``Play.summary`` sees it."""
    again: Any
    """What the same call answers when it is repeated."""
    after: dict[str, str]
    """The state of every message of the scene after the call."""


@dataclass(frozen=True)
class Play:
    script: Script
    build: Callable[[Stage], Awaitable[Scene]]
    first_write: str = ""
    """The first command that writes; empty where none does."""
    untouched: frozenset[str] = frozenset()
    """Keys among the declared ones that this state gives no reason to look at (names without the partition's prefix)."""
    summary: Callable[[Any], Any] = field(default=lambda answer: answer)


def _scene(call: Call, first: Any, again: Any, after: dict[str, str]) -> Scene:
    return Scene(call.keys, call.arguments, first, again, after)


_LABELS = ("red", "[blue]")
_LABELLED = Options(labels=_LABELS)


def _schedule(options: Options = NO_OPTIONS) -> Callable[[Stage], Awaitable[Scene]]:
    async def build(stage: Stage) -> Scene:
        now_ms = await stage.now_ms()
        before = [*await stage.add(now_ms + HOUR_MS), *await stage.add(now_ms + HOUR_MS, topic="beta", options=options)]
        drafts = [Draft(topic, "text", b"x", due_ms=now_ms + HOUR_MS, options=options) for topic in ("alpha", "alpha", "beta")]
        call = await stage.call_of(lambda store: accept.schedule(store, drafts, "a-key"))
        stored = [record.split(b" ")[0].decode() for record in call.arguments[4:] if isinstance(record, bytes)]
        assert len(stored) == len(drafts)
        return _scene(call, b"stored", b"repeated", dict.fromkeys([*before, *stored], "scheduled"))

    return build


async def _dispatch(stage: Stage) -> Scene:
    (entry,) = await stage.running()
    await stage.settle(retry(entry))
    ids = [id_of(entry), *await stage.overdue(2)]
    (far,) = await stage.add(await stage.now_ms() + HOUR_MS)
    call = await stage.call_of(lambda store: due.dispatch(store.partitions[0], "alpha", 100, 1000))
    return _scene(call, 3, 0, {**dict.fromkeys(ids, "ready"), far: "scheduled"})


async def _settle(stage: Stage) -> Scene:
    done = await stage.running_again()
    failed, spent, plain, unkept = await stage.running(4)
    (other,) = await stage.running(topic="beta")
    ends = [
        finished(done, errors_exist=True), retry(failed, delay_ms=HOUR_MS), finished(plain),
        dead(spent), retry(other, delay_ms=HOUR_MS), finished(unkept, retention_ms=0),
    ]  # fmt: skip
    call = await stage.call_by_worker("w1", lambda worker: worker.settle(ends, 1000))
    after = {
        id_of(done): "delivered", id_of(failed): "retrying", id_of(spent): "dead", id_of(other): "retrying",
        id_of(plain): "delivered", id_of(unkept): "absent",
    }  # fmt: skip
    return _scene(call, [1] * len(ends), [0] * len(ends), after)


async def _settle_labelled(stage: Stage) -> Scene:
    ids = [*await stage.add(*range(1, 5), options=_LABELLED), *await stage.overdue()]
    await stage.dispatch()
    done, failed, spent, gone, plain = await stage.read(5)
    await stage.client.xdel(gone.stream, gone.entry_id)
    ends = [
        finished(done, labels=_LABELS), retry(failed, delay_ms=HOUR_MS, labels=_LABELS), dead(spent, labels=_LABELS),
        retry(gone, labels=_LABELS), retry(plain, delay_ms=HOUR_MS),
    ]  # fmt: skip
    call = await stage.call_by_worker("w1", lambda worker: worker.settle(ends, 1000))
    after = dict(zip(ids, ("delivered", "retrying", "dead", "absent", "retrying"), strict=True))
    return _scene(call, [1] * len(ends), [0] * len(ends), after)


async def _settle_followed(stage: Stage) -> Scene:
    done, failed = await stage.running(2)
    now_ms = await stage.now_ms()
    late = Draft("beta", "text", b"x", due_ms=now_ms + HOUR_MS)
    labelled = Draft("alpha", "text", b"x", due_ms=now_ms + HOUR_MS, options=_LABELLED)
    made = [following.follow(draft, 0, now_ms) for draft in (late, labelled, late)]
    ends = [
        replace(finished(done), follows=(made[0], made[1])),
        replace(retry(failed, delay_ms=HOUR_MS), follows=(made[2],)),
    ]
    call = await stage.call_by_worker("w1", lambda worker: worker.settle(ends, 1000))
    after = {id_of(done): "delivered", id_of(failed): "retrying", **dict.fromkeys([one.id for one in made], "scheduled")}
    return _scene(call, [1] * len(ends), [0] * len(ends), after)


async def _renew(stage: Stage) -> Scene:
    held = [*await stage.running(), *await stage.running(topic="beta")]
    call = await stage.call_by_worker("w1", lambda worker: worker.renew([lease_of(one) for one in held]))
    return _scene(call, [1, 1], [1, 1], {id_of(one): "running" for one in held})


async def _claim(stage: Stage) -> Scene:
    held = await stage.running(3)
    for one in held:
        await stage.let_idle(one, 5_000, 1)
    await stage.client.xdel(held[1].stream, held[1].entry_id)
    call = await stage.call_by_worker("w2", lambda worker: worker.claim(held[0].stream, "-", 1_000, 60_000, 10, 1))
    after = {id_of(one): "absent" if one is held[1] else "running" for one in held}
    return _scene(call, 2, 0, after)


async def _hand_back(stage: Stage) -> Scene:
    held = [await stage.running_again(), *await stage.running(), *await stage.running(topic="beta")]
    call = await stage.call_by_worker("w1", lambda worker: worker.hand_back([lease_of(one) for one in held]))
    return _scene(call, [1, 1, 1], [0, 0, 0], {id_of(one): "ready" for one in held})


async def _leave(stage: Stage) -> Scene:
    held = [*await stage.running(), *await stage.running(topic="beta")]
    for topic in ("alpha", "beta"):
        await stage.read(1, topic, worker="w2")
    call = await stage.call_by_worker("w2", lambda worker: worker.leave())
    return _scene(call, 0, 0, {id_of(one): "running" for one in held})


def _get(state: str, lies: bytes) -> Callable[[Stage], Awaitable[Scene]]:
    async def build(stage: Stage) -> Scene:
        message_id = await _STATES[state](stage)
        call = await stage.call_of(lambda store: messages.get(store, message_id))
        return _scene(call, lies, lies, {message_id: state})

    return build


async def _retrying(stage: Stage) -> str:
    (entry,) = await stage.running()
    await stage.settle(retry(entry, delay_ms=HOUR_MS))
    return id_of(entry)


async def _ready(stage: Stage) -> str:
    await stage.worker().create_groups()
    return (await stage.ready())[0]


async def _running(stage: Stage) -> str:
    return id_of(await stage.running_again())


async def _dead(stage: Stage) -> str:
    return await stage.dead()


async def _labelled(stage: Stage) -> str:
    return (await stage.add(await stage.now_ms() + HOUR_MS, options=_LABELLED))[0]


async def _delivered(stage: Stage) -> str:
    (entry,) = await stage.running()
    await stage.settle(finished(entry))
    return id_of(entry)


_STATES = {
    "retrying": _retrying,
    "ready": _ready,
    "running": _running,
    "dead": _dead,
    "delivered": _delivered,
    "labelled": _labelled,
}


def _cancel(state: str) -> Callable[[Stage], Awaitable[Scene]]:
    async def build(stage: Stage) -> Scene:
        message_id = await _STATES[state](stage)
        call = await stage.call_of(lambda store: messages.cancel(store, message_id))
        return _scene(call, [b"cancelled"], [b"cancelled"], {message_id: "cancelled"})

    return build


async def _change(stage: Stage) -> Scene:
    now_ms = await stage.now_ms()
    (message_id,) = await stage.add(now_ms + HOUR_MS)
    when = str(now_ms + 2 * HOUR_MS)
    call = await stage.call_of(lambda store: messages._change(store, message_id, when, b""))
    return _scene(call, b"changed", b"changed", {message_id: "scheduled"})


async def _replay(stage: Stage) -> Scene:
    message_id = await stage.dead()
    when = await stage.now_ms() + HOUR_MS
    call = await stage.call_of(lambda store: dead_letters.replay(store, message_id, when))
    return _scene(call, b"replayed", b"absent", {message_id: "scheduled"})


async def _replay_labelled(stage: Stage) -> Scene:
    (message_id,) = await stage.add(1, options=_LABELLED)
    await stage.dispatch()
    await stage.settle(dead(*await stage.read(), labels=_LABELS))
    when = await stage.now_ms() + HOUR_MS
    call = await stage.call_of(lambda store: dead_letters.replay(store, message_id, when))
    return _scene(call, b"replayed", b"absent", {message_id: "scheduled"})


async def _delete_dead(stage: Stage) -> Scene:
    message_id = await stage.dead()
    call = await stage.call_of(lambda store: dead_letters.delete(store, message_id))
    return _scene(call, [b"deleted"], [b"absent"], {message_id: "absent"})


async def _put_schedule(stage: Stage) -> Scene:
    await stage.schedule("hourly")
    seen = await schedules.get(stage.store, "hourly")
    call = await stage.call_of(lambda store: schedules.change(store, seen, stage.wanted(every_ms=2 * HOUR_MS), "new"))
    return _scene(call, [b"put"], [b"repeated"], {})


async def _delete_schedule(stage: Stage) -> Scene:
    await stage.schedule("hourly")
    await stage.fire("hourly")
    call = await stage.call_of(lambda store: schedules.delete(store, "hourly"))
    return _scene(call, [b"deleted"], [b"absent"], {})


def _fire(*, overlaps: bool, first: bytes, labels: tuple[str, ...] = ()) -> Callable[[Stage], Awaitable[Scene]]:
    async def build(stage: Stage) -> Scene:
        await stage.schedule("hourly", labels=labels, overlap="skip")
        before = await stage.fire("hourly")
        if not overlaps:
            await messages.cancel(stage.store, before)
        await stage.make_due("hourly")
        seen = await schedules.get(stage.store, "hourly")
        call = await stage.call_of(lambda store: firing.fire(store.partitions[0], seen))
        after = {before: "scheduled" if overlaps else "cancelled"}
        if not overlaps:
            after[str(call.arguments[11])] = "scheduled"
        return _scene(call, first, b"stale", after)

    return build


async def _trim(stage: Stage) -> Scene:
    over = await _delivered(stage)
    await stage.client.zadd(stage.keys.finished_expiry, {over: 1})
    aged, excess, kept = [await stage.dead() for _ in range(3)]
    now_ms = await stage.now_ms()
    await stage.client.zadd(stage.keys.dead, {aged: now_ms - HOUR_MS, excess: now_ms - 2, kept: now_ms - 1})
    retention = RetentionSettings(dead_letters_ms=HOUR_MS // 2, max_dead_letters=1)
    call = await stage.call_of(lambda store: due.trim(store.partitions[0], retention, 100))
    return _scene(call, [1, 1, 1], [0, 0, 0], {over: "absent", aged: "absent", excess: "absent", kept: "dead"})


async def _admit(stage: Stage) -> Scene:
    """One is in line, and there is a place for it and for one more of two that are due."""
    flowing = Flowing(stage, key=LimitSettings(rate=2, period_ms=HOUR_MS, concurrency=1))
    first, second = await flowing.add("a", 2)
    await flowing.admit()
    await flowing.finish(*await flowing.read())
    third, fourth = await flowing.add("b", 2)
    call = await stage.call_of(lambda store: flow.admit(store.partitions[0], flowing.topic, "alpha:limited", 100, 1000))
    after = {first: "delivered", second: "ready", third: "ready", fourth: "scheduled"}
    return _scene(call, 2, 0, after)


async def _retrying_in_order(stage: Stage, delay_ms: int) -> tuple[Flowing, str, str]:
    """One that keeps the place of its key, and one in line behind it."""
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    first, second = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    await stage.settle(retry(*await flowing.read(), delay_ms=delay_ms))
    return flowing, first, second


async def _admit_ordered(stage: Stage) -> Scene:
    flowing, first, second = await _retrying_in_order(stage, 0)
    call = await stage.call_of(lambda store: flow.admit(store.partitions[0], flowing.topic, "alpha:limited", 100, 1000))
    return _scene(call, 1, 0, {first: "ready", second: "scheduled"})


async def _settle_ordered(stage: Stage) -> Scene:
    flowing = Flowing(stage, topic=LimitSettings(concurrency=1), key=LimitSettings(concurrency=1))
    first, second = await flowing.add("a", 2, ordered=True)
    await flowing.admit()
    (entry,) = await flowing.read()
    call = await stage.call_by_worker("w1", lambda worker: worker.settle([retry(entry, delay_ms=HOUR_MS)], 1000))
    return _scene(call, [1], [0], {first: "retrying", second: "scheduled"})


async def _cancel_ordered(stage: Stage) -> Scene:
    _, first, second = await _retrying_in_order(stage, HOUR_MS)
    call = await stage.call_of(lambda store: messages.cancel(store, first))
    return _scene(call, [b"cancelled"], [b"cancelled"], {first: "cancelled", second: "scheduled"})


async def _tidy_ordered(stage: Stage) -> Scene:
    _, first, second = await _retrying_in_order(stage, HOUR_MS)
    await stage.client.zrem(stage.keys.due("alpha:limited"), *await stage.client.zrange(stage.keys.due("alpha:limited"), 0, -1))

    async def tidy(store: Store) -> None:
        await flow._tidy(store.partitions[0], "alpha", stage.keys.flow("alpha", "kept"), "due")

    call = await stage.call_of(tidy)
    return _scene(call, 1, 0, {first: "absent", second: "scheduled"})


async def _limit(stage: Stage) -> Scene:
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    ids = await flowing.add("a", 2)
    await flowing.admit()
    await flow.set_limit(stage.store, "alpha", "a", FlowLimit(0, 1_000, 1))
    call = await stage.call_of(lambda store: flow.set_limit(store, "alpha", "a", FlowLimit(5, 1_000, 0)))
    return _scene(call, [b"set"], [b"set"], {ids[0]: "ready", ids[1]: "scheduled"})


async def _reset_rate(stage: Stage) -> Scene:
    flowing = Flowing(stage, key=LimitSettings(rate=1, period_ms=HOUR_MS))
    ids = await flowing.add("a", 2)
    await flowing.admit()
    call = await stage.call_of(lambda store: flow.reset_rate(store, "alpha", "a"))
    return _scene(call, [b"reset"], [b"reset"], {ids[0]: "ready", ids[1]: "scheduled"})


async def _flow_keys(stage: Stage) -> Scene:
    flowing = Flowing(stage, key=LimitSettings(concurrency=1))
    ids = await flowing.add("a", 2)
    await flowing.admit()
    call = await stage.call_of(lambda store: flow.flow_keys(store, "alpha", "", 10))
    return _scene(call, 1, 1, {ids[0]: "ready", ids[1]: "scheduled"})


async def _tidy(stage: Stage) -> Scene:
    flowing = Flowing(stage, key=LimitSettings(concurrency=2))
    ids = await flowing.add("a", 3)
    await flowing.admit()
    (entry,) = await flowing.read(1)
    await stage.client.xdel(entry.stream, entry.entry_id)
    call = await stage.call_of(lambda store: flow.tidy(store.partitions[0], "alpha"))
    return _scene(call, 1, 0, {ids[0]: "absent", ids[1]: "ready", ids[2]: "scheduled"})


async def _rate(stage: Stage) -> Scene:
    """Spent: a call that is counted cannot be repeated without being counted again, and is not (see ``producer.limits``)."""
    slow = Limit("billing", per_s=0.001, burst=1)
    assert await rates.take(stage.store, slow, 1, 1) == 0
    call = await stage.call_of(lambda store: rates.take(store, slow, 1, 1))
    return _scene(call, "no room", "no room", {})


async def _tally(stage: Stage) -> Scene:
    async def flush(store: Store) -> None:
        store.partitions[0].counted["alpha", "accepted"] += 3
        await Tally(store.partitions[0]).flush()

    call = await stage.call_of(flush)
    return _scene(call, 1, 0, {})


def _room(answer: Any) -> str:
    return "no room" if answer > 0 else "counted"


def _first(answer: Any) -> Any:
    return answer[0]


def _second(answer: Any) -> Any:
    return answer[1]


def _taken(answer: Any) -> int:
    return len(answer) - 1


_OTHER_DUES = frozenset({"due:alpha:high", "due:alpha:low", "due:alpha:limited", "due:alpha:parked"})
_OTHER_STREAMS = frozenset({"stream:alpha:high", "stream:alpha:low"})
_DUES, _STREAMS = _OTHER_DUES | {"due:alpha"}, _OTHER_STREAMS | {"stream:alpha:normal"}
_OVER = frozenset({"finished", "dead", "dead:records"})


async def _put_webhook(stage: Stage) -> Scene:
    await webhook_fields.put(stage.store, "a", b"", b"1")
    call = await stage.call_of(lambda store: webhook_fields.put(store, "a", b"1", b"2"))
    return _scene(call, [b"put"], [b"put"], {})


PLAYS = {
    "schedule": Play(scripts.SCHEDULE, _schedule(), "SET", summary=_first),
    "schedule labelled": Play(scripts.SCHEDULE, _schedule(_LABELLED), "SET", summary=_first),
    "dispatch": Play(scripts.DISPATCH, _dispatch, "ZREMRANGEBYRANK", summary=_first),
    "settle": Play(scripts.SETTLE, _settle, "XACK"),
    "settle labelled": Play(scripts.SETTLE, _settle_labelled, "XACK"),
    "settle followed": Play(scripts.SETTLE, _settle_followed, "XACK"),
    "renew": Play(scripts.RENEW, _renew, "XCLAIM"),
    "claim": Play(scripts.CLAIM, _claim, "XCLAIM", summary=_taken),
    "hand_back": Play(scripts.HAND_BACK, _hand_back, "XACK"),
    "leave": Play(scripts.LEAVE, _leave, "XGROUP"),
    "get waiting": Play(scripts.GET, _get("retrying", b"waiting"), untouched=_OVER | _STREAMS | _OTHER_DUES, summary=_first),
    "get running": Play(scripts.GET, _get("running", b"running"), untouched=_OVER | _DUES | _OTHER_STREAMS, summary=_first),
    "get dead": Play(scripts.GET, _get("dead", b"dead"), untouched=_STREAMS | {"finished", "errors"}, summary=_first),
    "get finished": Play(
        scripts.GET, _get("delivered", b"finished"), untouched=_STREAMS | {"dead:records", "errors"}, summary=_first
    ),
    "cancel waiting": Play(scripts.CANCEL, _cancel("retrying"), "ZREM", untouched=_STREAMS | _OTHER_DUES),
    "cancel ready": Play(scripts.CANCEL, _cancel("ready"), "XDEL", untouched=_DUES | _OTHER_STREAMS),
    "cancel labelled": Play(scripts.CANCEL, _cancel("labelled"), "ZREM", untouched=_STREAMS | _OTHER_DUES),
    "change": Play(scripts.CHANGE, _change, "ZREM", untouched=_OTHER_DUES, summary=_first),
    "replay": Play(scripts.REPLAY, _replay, "ZREM", untouched=_OTHER_DUES, summary=_first),
    "replay labelled": Play(scripts.REPLAY, _replay_labelled, "ZREM", untouched=_OTHER_DUES, summary=_first),
    "delete_dead": Play(scripts.DELETE_DEAD, _delete_dead, "ZREM"),
    "trim": Play(scripts.TRIM, _trim, "ZREM"),
    "put_schedule": Play(scripts.PUT_SCHEDULE, _put_schedule, "HSET"),
    "delete_schedule": Play(scripts.DELETE_SCHEDULE, _delete_schedule, "ZREM"),
    "fire": Play(scripts.FIRE, _fire(overlaps=False, first=b"fired"), "ZADD", summary=_first),
    "fire labelled": Play(scripts.FIRE, _fire(overlaps=False, first=b"fired", labels=_LABELS), "ZADD", summary=_first),
    "fire skipped": Play(scripts.FIRE, _fire(overlaps=True, first=b"skipped"), "ZADD", summary=_first),
    "admit": Play(scripts.ADMIT, _admit, "ZREM", summary=_first),
    "admit ordered": Play(scripts.ADMIT, _admit_ordered, "ZREM", summary=_first),
    "settle ordered": Play(scripts.SETTLE, _settle_ordered, "XACK"),
    "cancel ordered": Play(scripts.CANCEL, _cancel_ordered, "ZREM", untouched=_STREAMS | {"due:alpha:parked"}),
    "limit": Play(scripts.LIMIT, _limit, "ZREM"),
    "reset_rate": Play(scripts.RESET_RATE, _reset_rate, "ZREMRANGEBYLEX"),
    "flow_keys": Play(scripts.FLOW_KEYS, _flow_keys, summary=len),
    "tidy": Play(scripts.TIDY, _tidy, "ZREM", summary=_second),
    "tidy ordered": Play(scripts.TIDY, _tidy_ordered, "ZREM", summary=_second),
    "put_webhook": Play(scripts.PUT_WEBHOOK, _put_webhook, "HSET"),
    "tally": Play(scripts.TALLY, _tally, "HSET"),
    "rate": Play(scripts.RATE, _rate, summary=_room),
}
