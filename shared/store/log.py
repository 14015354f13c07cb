"""The log of what happened to webhook messages: kept by number in a stream of each partition, read newest first.

It is written beside the work (``shared.store.publishing``), so it is no truth: a process that dies takes its last moment of it
along. Entries lie in the order in which Redis got them, each some time after it happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from shared.errors import InvalidField
from shared.events import KINDS, Event, Kind
from shared.store.log_filter import LogFilter
from shared.store.outage import outages
from shared.store.partition import Partition, Store

FIELD = "event"
MOST_LOOKED_AT = 1_000
"""Entries of a call."""
SLICE = 200
"""Entries that are asked for at once, of all partitions together."""
LEAST_SLICE = 5
"""Of one partition: with hundreds of them a call looks at more than it says above."""
MOST_LATE_MS = 3_600_000
"""No entry is sought longer after it happened than this. A process keeps few events through an outage, and not for long; a start
that is told with the end of its attempt is older only where that took so long."""
CLOCK_MS = 60_000
"""No entry is told longer before it happened than this: by so much may Redis's clock have been stepped between the two."""
CURSOR = r"^[0-9]{1,19}-[0-9]{1,19}-[0-9]{1,4}$"
_ORDER: dict[Kind, int] = {kind: number for number, kind in enumerate(KINDS)}
"""Of one millisecond."""
_decode = msgspec.json.Decoder(Event).decode


class Place(NamedTuple):
    """Where an entry lies among those of all partitions: a later one is larger."""

    at_ms: int
    number: int
    partition: int


class LogPage(NamedTuple):
    entries: list[Event]
    next_cursor: str | None
    """``None`` on the last page. A page may come short, or be empty, before that."""


class _Entry(NamedTuple):
    place: Place
    event: Event | None
    """``None`` where it is of a form that is not known here."""


class _Slice(NamedTuple):
    entries: list[_Entry]
    """The newest of what was asked for, of all partitions, in their order."""
    looked_at: int
    complete: bool
    """Whether there is nothing older."""


async def read(store: Store, wanted: LogFilter, count: int, cursor: str | None = None) -> LogPage:
    """At most so many events, the newest first. Raises ``InvalidField`` for a cursor that is none, ``Outage``."""
    before, taken, looked_at = _start(wanted, cursor), list[Event](), 0
    while looked_at < MOST_LOOKED_AT:
        found = await _slice(store, before, wanted)
        looked_at += found.looked_at
        for entry in found.entries:
            if len(taken) == count:
                return LogPage(_by_time(taken), _cursor(before))
            if entry.event is not None and wanted.takes(entry.event):
                taken.append(entry.event)
            before = entry.place
        if found.complete:
            return LogPage(_by_time(taken), None)
    return LogPage(_by_time(taken), _cursor(before))


async def _slice(store: Store, before: Place | None, wanted: LogFilter) -> _Slice:
    """What comes next, going back in time."""
    most = max(LEAST_SLICE, SLICE // len(store.partitions))
    of_servers = await asyncio.gather(*(_rows(partitions, before, wanted, most) for partitions in store.by_server()))
    found = [entries for of_server in of_servers for entries in of_server]
    cut = [entries[-1].place for entries in found if len(entries) == most]
    # What lies before the end of one that was cut waits: entries of that one come in between which are not seen yet.
    end = max(cut, default=None)
    entries = [entry for entries in found for entry in entries if end is None or entry.place >= end]
    return _Slice(sorted(entries, key=_place, reverse=True), sum(map(len, found)), complete=end is None)


def _place(entry: _Entry) -> Place:
    return entry.place


async def _rows(partitions: list[Partition], before: Place | None, wanted: LogFilter, most: int) -> list[list[_Entry]]:
    oldest = "-" if wanted.from_ms is None else max(0, wanted.from_ms - CLOCK_MS)
    pipeline = partitions[0].client.pipeline(transaction=False)
    for partition in partitions:
        newest = _newest(before, partition.number)
        pipeline.execute_command("XREVRANGE", partition.keys.log, newest, oldest, "COUNT", most)
    with outages():
        answers = await pipeline.execute()
    return [list(_entries(partition, rows)) for partition, rows in zip(partitions, answers, strict=True)]


def _newest(before: Place | None, partition: int) -> str:
    """The first entry of that partition to look at, as ``XREVRANGE`` has it."""
    if before is None:
        return "+"
    # Of the same id the entry of a partition of a lower number comes after. No entry has the id 0-0, nor is one before it.
    included = partition < before.partition or before.at_ms == before.number == 0
    return f"{'' if included else '('}{before.at_ms}-{before.number}"


def _entries(partition: Partition, rows: list[Any]) -> Iterator[_Entry]:
    for entry_id, fields in rows:
        at_ms, _, number = entry_id.partition(b"-")
        yield _Entry(Place(int(at_ms), int(number), partition.number), _event(fields))


def _event(fields: dict[bytes, bytes]) -> Event | None:
    try:
        return _decode(fields[FIELD.encode()])
    except (KeyError, msgspec.MsgspecError):
        return None


def _by_time(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.at_ms, _ORDER[event.event]), reverse=True)


def _start(wanted: LogFilter, cursor: str | None) -> Place | None:
    if cursor is not None:
        return _parsed(cursor)
    return None if wanted.until_ms is None else Place(wanted.until_ms + MOST_LATE_MS, 0, 0)


def _parsed(cursor: str) -> Place:
    parts = cursor.split("-")
    if len(parts) != len(Place._fields) or not all(part.isascii() and part.isdigit() and len(part) <= 19 for part in parts):
        raise InvalidField("cursor", "expected the next_cursor of an earlier page")
    return Place(*map(int, parts))


def _cursor(last: Place | None) -> str | None:
    return None if last is None else "-".join(map(str, last))
