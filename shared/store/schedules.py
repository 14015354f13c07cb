"""Recurring schedules: kept, changed, listed. ``shared.store.firing`` makes their messages."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import Struct

from shared.errors import AlreadyThere, NotFound, Stale, TooLate
from shared.record import Record, decode_record, encode_record
from shared.recurrence import Definition
from shared.settings import Durability
from shared.store.outage import outages
from shared.store.partition import Partition, Store
from shared.store.placing import partition_of
from shared.store.scripts import DELETE_SCHEDULE, PUT_SCHEDULE, Argument

KIND = "schedule"
"""What a ``NotFound`` names."""
PUT_TRIES = 5
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Definition).decode


class Run(Struct, frozen=True):
    occurrence_ms: int
    message_id: str


class Schedule(Struct, frozen=True, kw_only=True):
    """A schedule as it is at one moment."""

    id: str
    definition: Definition
    template: Record
    """The record that its messages are made from: its id is that of the schedule."""
    status: str
    """``active``, ``paused`` or ``ended``."""
    revision: str
    """Another one after every change; that of its entity tag."""
    first_revision: str = ""
    """That with which it was made."""
    next_ms: int | None = None
    created_ms: int = 0
    updated_ms: int = 0
    runs: int = 0
    """Messages made by its rule."""
    skipped: int = 0
    missed: int = 0
    last_id: str = ""
    """Of the message made last, by the rule or beside it."""
    last_occurrence_ms: int = 0
    past: tuple[Run, ...] = ()
    """Newest first; only where they were asked for."""
    deduplicated: bool = False
    """Whether it had been made before by the call that asks for it now."""
    durability: Durability | None = None
    """How safe the change is that gave this view; ``None`` where it is only a look."""


class Page(Struct, frozen=True):
    schedules: list[Schedule]
    """In the order of their ids."""
    next_cursor: str | None


async def get(store: Store, schedule_id: str, past: int = 0) -> Schedule:
    """With so many of its latest runs. Raises ``NotFound``, ``Outage``."""
    return (await find(store, schedule_id, past))[1]


async def find(store: Store, schedule_id: str, past: int = 0) -> tuple[Partition, Schedule]:
    """Where it is kept, and what it is. Not where it belongs, it may have been put elsewhere with fewer partitions.

    Raises ``NotFound``, ``Outage``.
    """
    first = _home(store, schedule_id)
    found = await _read(first, schedule_id, past)
    if found is not None:
        return first, found
    others = [partition for partition in store.partitions if partition is not first]
    for partition, one in zip(others, await asyncio.gather(*(_read(other, schedule_id, past) for other in others)), strict=True):
        if one is not None:
            return partition, one
    raise NotFound(schedule_id, KIND)


def _home(store: Store, schedule_id: str) -> Partition:
    return store.partitions[partition_of(schedule_id, len(store.partitions))]


async def _read(partition: Partition, schedule_id: str, past: int = 0) -> Schedule | None:
    keys = partition.keys
    pipeline = partition.client.pipeline(transaction=False)
    pipeline.hgetall(keys.schedule(schedule_id))
    if past:
        pipeline.lrange(keys.runs(schedule_id), -past, -1)
    with outages():
        fields, *rows = await pipeline.execute()
    if not fields:
        return None
    found = parse(schedule_id, fields)
    return msgspec.structs.replace(found, past=tuple(_run(row) for row in reversed(rows[0]))) if past else found


def _run(row: bytes) -> Run:
    occurrence, _, message_id = row.decode().partition(" ")
    return Run(int(occurrence), message_id)


def parse(schedule_id: str, fields: dict[bytes, bytes]) -> Schedule:
    """A schedule from its hash. Raises ``ValueError`` where it is of no form known here."""
    text = {name.decode(): value for name, value in fields.items()}
    try:
        return Schedule(
            id=schedule_id,
            definition=_decode(text["definition"]),
            template=decode_record(text["message"]),
            status=text["status"].decode(),
            revision=text["revision"].decode(),
            first_revision=text["first_revision"].decode(),
            next_ms=int(text["next"]) if text["next"] else None,
            created_ms=int(text["created"]),
            updated_ms=int(text["updated"]),
            runs=int(text.get("runs", 0)),
            skipped=int(text.get("skipped", 0)),
            missed=int(text.get("missed", 0)),
            last_id=text.get("last", b"").decode(),
            last_occurrence_ms=int(text.get("last_occurrence", 0)),
        )
    except (KeyError, msgspec.MsgspecError) as error:
        raise ValueError(f"not a schedule: {error!r}") from error


class Wanted(Struct, frozen=True, kw_only=True):
    """What a schedule is to be."""

    definition: Definition
    template: Record
    status: str
    """``active`` or ``paused``; an active one with nothing left to occur has ended."""


async def create(store: Store, schedule_id: str, wanted: Wanted, revision: str, asked: Durability = "memory") -> Schedule:
    """``revision``: a new one; the same again is a repeat. Raises ``AlreadyThere``, ``NotSafe``, ``Outage``."""
    home = _home(store, schedule_id)
    others = [partition for partition in store.partitions if partition is not home]
    if any(await asyncio.gather(*(_read(other, schedule_id) for other in others))):
        raise AlreadyThere(schedule_id)
    now_ms = home.clock.now_ms()
    verdict, reached = await _put(home, schedule_id, wanted, _following(wanted, now_ms, 0), "", revision, now_ms, asked)
    if verdict == b"exists":
        raise AlreadyThere(schedule_id)
    found = await get(store, schedule_id)
    return msgspec.structs.replace(found, durability=reached, deduplicated=verdict == b"repeated")


async def change(store: Store, seen: Schedule, wanted: Wanted, revision: str, asked: Durability = "memory") -> Schedule | None:
    """What it is to be from now on; what it has done so far stays. ``None`` where it is not as it was seen any more.

    One that goes on by the same rule keeps its next occurrence; else the first one from now on is next.

    Raises ``NotFound``, ``NotSafe``, ``Outage``.
    """
    partition, _ = await find(store, seen.id)
    now_ms, next_ms = partition.clock.now_ms(), "keep"
    goes_on = seen.status == wanted.status == "active" and seen.definition.rule == wanted.definition.rule
    if not goes_on or _is_spent(wanted, seen.runs):
        next_ms = _following(wanted, now_ms, seen.runs)
    verdict, reached = await _put(partition, seen.id, wanted, next_ms, seen.revision, revision, now_ms, asked)
    if verdict == b"absent":
        raise NotFound(seen.id, KIND)
    return None if verdict == b"stale" else msgspec.structs.replace(await get(store, seen.id), durability=reached)


def _following(wanted: Wanted, now_ms: int, runs: int) -> str:
    """The first occurrence from now on; empty where there is none."""
    if wanted.status != "active" or _is_spent(wanted, runs):
        return ""
    next_ms = wanted.definition.rule.after(now_ms)
    return "" if next_ms is None else str(next_ms)


def _is_spent(wanted: Wanted, runs: int) -> bool:
    most = wanted.definition.max_runs
    return most is not None and runs >= most


async def _put(
    partition: Partition, schedule_id: str, wanted: Wanted, next_ms: str, seen: str, revision: str, now_ms: int, asked: Durability
) -> tuple[bytes, Durability]:
    """``seen``: its revision so far; empty where there is to be none of that id."""
    keys = partition.keys
    arguments: list[Argument] = [
        schedule_id, keys.wake_channel, seen, revision, next_ms,
        "definition", _encode(wanted.definition), "message", encode_record(wanted.template), "updated", now_ms,
    ]  # fmt: skip
    if not seen:
        arguments += ("created", now_ms, "first_revision", revision)
    if next_ms != "keep":
        arguments += ("status", "ended" if wanted.status == "active" and not next_ms else wanted.status)
    answer, reached = await partition.run(
        PUT_SCHEDULE, [keys.schedule(schedule_id), keys.schedules, keys.schedules_next], arguments, asked, b"put", b"repeated"
    )
    return answer[0], reached


async def delete(store: Store, schedule_id: str, asked: Durability = "memory", tags: frozenset[str] | None = None) -> Durability:
    """The messages that it has made stay. Raises ``NotFound``, ``Stale``, ``NotSafe``, ``Outage``."""
    for _ in range(PUT_TRIES):
        partition, seen = await find(store, schedule_id)
        check_tag(seen, tags)
        keys = partition.keys
        answer, reached = await partition.run(
            DELETE_SCHEDULE,
            [keys.schedule(schedule_id), keys.schedules, keys.schedules_next, keys.runs(schedule_id)],
            [schedule_id, seen.revision if tags else ""],
            asked,
            b"deleted",
        )
        if answer[0] == b"deleted":
            return reached
        if answer[0] == b"absent":
            raise NotFound(schedule_id, KIND)
    raise TooLate(schedule_id, "being changed by others", "delete", KIND)


def check_tag(seen: Schedule, tags: frozenset[str] | None) -> None:
    """Raises ``Stale`` where it is none of those that were given."""
    if tags is not None and seen.revision not in tags:
        raise Stale(f"schedule {seen.id!r}")


async def list_schedules(store: Store, limit: int, cursor: str | None) -> Page:
    """One page in the order of the ids, from all partitions. ``cursor``: the last id of the page before. Raises ``Outage``."""
    after = "-" if cursor is None else f"({cursor}"
    rows = await asyncio.gather(*(_ids(partition, after, limit + 1) for partition in store.partitions))
    ids = sorted((schedule_id, number) for number, found in enumerate(rows) for schedule_id in found)[: limit + 1]
    shown = ids[:limit]
    schedules = await asyncio.gather(*(_read(store.partitions[number], schedule_id) for schedule_id, number in shown))
    following = shown[-1][0] if len(ids) > limit else None
    return Page([one for one in schedules if one is not None], following)


async def _ids(partition: Partition, after: str, limit: int) -> list[str]:
    with outages():
        rows: Any = await partition.client.zrangebylex(partition.keys.schedules, after, "+", start=0, num=limit)
    return [row.decode() for row in rows]
