"""Recurring schedules that are due: their messages are made, each occurrence once, whoever asks.

A message's id follows from the schedule and the occurrence, so what makes it twice makes the same message. It is due at its
occurrence, also where that was missed: its lateness tells for how long nobody was there.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from shared.errors import NotFound
from shared.ids import first_score, make_id, parse_id
from shared.record import Record, encode_record
from shared.recurrence import Turn, turn
from shared.settings import Durability
from shared.store.chunks import CHUNK_BYTES
from shared.store.keys import lane_of
from shared.store.outage import outages
from shared.store.partition import Partition, Store
from shared.store.schedules import KIND, PUT_TRIES, Run, Schedule, find, parse
from shared.store.scripts import FIRE, Argument
from shared.store.telling import tell

RUNS_KEPT = 100
AMONG = 10
"""Where more are due than are asked for, so many times as many are chosen from."""
MOST_AT_ONCE = 100
"""Occurrences of one schedule that are made by one script."""


class Due(NamedTuple):
    schedules: list[Schedule]
    unreadable: dict[str, str]
    """Ids of those that are of no form known here, and why."""
    next_ms: int | None
    """When the next one after these is due; it may be due already. ``None`` where there is none."""


async def due_schedules(partition: Partition, limit: int, but: Collection[str] = ()) -> Due:
    """Some of the first that are due by the clock of the partition, without those named. Raises ``Outage``."""
    keys, now_ms = partition.keys, partition.clock.now_ms()
    with outages():
        rows = await partition.client.zrange(keys.schedules_next, 0, AMONG * limit + len(but), withscores=True)
        found_ids = [(schedule_id.decode(), int(at_ms)) for schedule_id, at_ms in rows]
        waiting = [(schedule_id, at_ms) for schedule_id, at_ms in found_ids if schedule_id not in but]
        ids = [schedule_id for schedule_id, at_ms in waiting if at_ms <= now_ms]
        next_ms = next((at_ms for _, at_ms in waiting[len(ids) :]), None)
        if len(ids) > limit:  # other dispatchers look at the same moment, and what one takes is lost work for the others
            ids, next_ms = random.sample(ids, limit), now_ms
        if not ids:
            return Due([], {}, next_ms)
        pipeline = partition.client.pipeline(transaction=False)
        for schedule_id in ids:
            pipeline.hgetall(keys.schedule(schedule_id))
        found, unreadable = list[Schedule](), dict[str, str]()
        for schedule_id, fields in zip(ids, await pipeline.execute(), strict=True):
            if not fields:  # deleted just now
                continue
            try:
                found.append(parse(schedule_id, fields))
            except ValueError as error:
                unreadable[schedule_id] = str(error)
    return Due(found, unreadable, next_ms)


class Unreadable(ValueError):
    """A schedule cannot be worked out here, such as where its time zone is not known to this host."""


class Fired(NamedTuple):
    verdict: str
    """``fired``, ``skipped``, ``early`` or ``stale``."""
    made: int
    missed: int


async def fire(partition: Partition, schedule: Schedule) -> Fired:
    """Makes what is due of a schedule as it was seen. Raises ``Outage``, ``Unreadable``."""
    now_ms = partition.clock.now_ms()
    if schedule.next_ms is None or schedule.next_ms > now_ms:  # somebody else was faster, between finding and reading it
        return Fired("stale", 0, 0)
    most = max(1, min(MOST_AT_ONCE, CHUNK_BYTES // (len(schedule.template.body) + 1)))
    try:
        now = turn(schedule.definition, schedule.next_ms, now_ms, schedule.runs, most)
    except (ValueError, OverflowError) as error:
        raise Unreadable(str(error)) from error
    overlap = schedule.last_id if schedule.definition.overlap == "skip" and now.occurrences else ""
    messages = [_message(partition, schedule, at_ms) for at_ms in now.occurrences]
    answer, _ = await _run(partition, schedule, str(schedule.next_ms), now, overlap, messages)
    return Fired(answer[0].decode(), answer[1] if answer[0] == b"fired" else 0, now.missed)


async def run_now(store: Store, schedule_id: str, asked: Durability = "memory") -> tuple[Run, Durability]:
    """Makes one message beside the rule, due now. Raises ``NotFound``, ``NotSafe``, ``Outage``."""
    now_ms = 0
    for _ in range(PUT_TRIES):
        partition, schedule = await find(store, schedule_id)
        at_ms = now_ms or partition.clock.now_ms()
        message = _message(partition, schedule, at_ms)
        answer, reached = await _run(partition, schedule, "", Turn((at_ms,), None), "", [message], asked)
        if answer[0] == b"fired":
            return Run(at_ms, message.id), reached
        if answer[0] == b"early":  # by a clock that is ahead
            now_ms = int(answer[1])
    raise NotFound(schedule_id, KIND)


class _Message(NamedTuple):
    occurrence_ms: int
    id: str
    score: str
    record: bytes


def _message(partition: Partition, schedule: Schedule, occurrence_ms: int) -> _Message:
    """The same whoever makes it and whenever: its time of creation is its occurrence."""
    definition, template = schedule.definition, schedule.template
    seed = f"{schedule.id} {schedule.created_ms} {occurrence_ms}".encode()
    bits = int.from_bytes(blake2b(seed, digest_size=8).digest(), "big")
    due_ms = occurrence_ms + definition.delay_ms + (bits * (definition.spread_ms + 1) >> 64)
    expires_ms = None if definition.expires_after_ms is None else due_ms + definition.expires_after_ms
    options = msgspec.structs.replace(template.options, schedule=schedule.id, occurrence_ms=occurrence_ms, expires_ms=expires_ms)
    message_id = make_id(definition.topic, partition.number, due_ms, bits)
    record = encode_record(Record(message_id, occurrence_ms, template.kind, template.body, options))
    return _Message(occurrence_ms, message_id, first_score(due_ms, bits), record)


async def _run(
    partition: Partition,
    schedule: Schedule,
    seen_next: str,
    now: Turn,
    overlap_id: str,
    messages: Sequence[_Message],
    asked: Durability = "memory",
) -> tuple[Any, Durability]:
    keys, last, asked_ms = partition.keys, parse_id(overlap_id), partition.clock.now_ms()
    topic, options = schedule.definition.topic, schedule.template.options
    arguments: list[Argument] = [
        schedule.id, keys.wake_channel, RUNS_KEPT, schedule.revision, seen_next,
        _text(now.next_ms), _text(now.next_if_skipped_ms), overlap_id, now.missed, now.overlapped,
    ]  # fmt: skip
    for message in messages:
        arguments += message
    answer, reached = await partition.run(
        FIRE,
        [
            keys.schedule(schedule.id), keys.schedules_next, keys.runs(schedule.id),
            keys.due(lane_of(topic, options.priority, options.flow_key)), keys.index, *keys.dues(last.topic if last else topic),
            *([keys.labels] if options.labels else []),
        ],
        arguments,
        asked,
        b"fired",
    )  # fmt: skip
    if answer[0] == b"fired" and messages:
        _tell(partition, schedule, messages, asked_ms)
        partition.counted[topic, "accepted"] += len(messages)
    return answer, reached


def _tell(partition: Partition, schedule: Schedule, messages: Sequence[_Message], asked_ms: int) -> None:
    topic, template = schedule.definition.topic, schedule.template
    if partition.events.wants(topic):
        record = msgspec.structs.replace(template, options=msgspec.structs.replace(template.options, schedule=schedule.id))
        for message in messages:
            due_ms = int(float(message.score))
            tell(partition, "scheduled", topic, message.id, at_ms=asked_ms, due_ms=due_ms, record=record)


def _text(time_ms: int | None) -> str:
    return "" if time_ms is None else str(time_ms)
