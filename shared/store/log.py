"""The log of what happened to webhook messages: kept by number in a stream of each partition, read newest first.

It is written beside the work (``shared.store.publishing``), so it is no truth: a process that dies takes its last moment of it
along.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from shared.about import About
from shared.errors import InvalidField
from shared.events import KINDS, Event, Kind
from shared.store.outage import outages
from shared.store.partition import Partition, Store

FIELD = "event"
_ORDER: dict[Kind, int] = {kind: number for number, kind in enumerate(KINDS)}
"""Of one millisecond."""
MOST_LOOKED_AT = 1_000
"""Entries of a call, of each partition."""
_decode = msgspec.json.Decoder(Event).decode
Place = tuple[int, int]
"""An entry id as numbers."""


class LogFilter(NamedTuple):
    """Each is met by an event with one of its values; an empty one by any."""

    kinds: frozenset[Kind] = frozenset()
    message_ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    schedules: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    """Addresses of those who sent them here."""
    flow_keys: frozenset[str] = frozenset()
    from_ms: int | None = None
    until_ms: int | None = None

    def takes(self, event: Event) -> bool:
        about = event.about or About()
        url = urlsplit(about.url)
        wanted: tuple[tuple[frozenset[Any], str], ...] = (
            (self.kinds, event.event),
            (self.message_ids, event.message_id),
            (self.urls, about.url),
            (self.groups, about.group),
            (self.queues, about.queue),
            (self.schedules, about.schedule),
            (self.paths, url.path),
            (self.callers, about.caller_ip),
            (self.flow_keys, about.flow_key),
        )
        if any(values and value not in values for values, value in wanted):
            return False
        if self.hosts and not self.hosts & {url.netloc, url.hostname or ""}:
            return False
        if self.labels and not self.labels & set(event.labels):
            return False
        return (self.from_ms or 0) <= event.at_ms and (self.until_ms is None or event.at_ms <= self.until_ms)


class LogPage(NamedTuple):
    entries: list[Event]
    next_cursor: str | None
    """``None`` on the last page. A page may come short, or be empty, before that."""


class _Entry(NamedTuple):
    place: Place
    partition: int
    event: Event | None


async def read(store: Store, wanted: LogFilter, count: int, cursor: str | None = None) -> LogPage:
    """At most so many events, the newest first. Raises ``InvalidField`` for a cursor that is none, ``Outage``."""
    before = _before(cursor)
    found: list[list[_Entry]] = []
    complete = True
    for partition in store.partitions:
        entries = await _entries(partition, before)
        complete &= len(entries) < MOST_LOOKED_AT
        found.append(entries)
    # Past the newest of the ends of those that were cut, another partition's entries would come before ones not seen yet.
    floor = max((entries[-1].place for entries in found if len(entries) == MOST_LOOKED_AT), default=None)
    return _page(merge(*found, key=lambda one: one.place, reverse=True), wanted, count, floor, complete=complete)


def _page(entries: Iterator[_Entry], wanted: LogFilter, count: int, floor: Place | None, *, complete: bool) -> LogPage:
    taken: list[Event] = []
    last: _Entry | None = None
    for entry in entries:
        if floor is not None and entry.place < floor:
            break
        if len(taken) == count:
            return LogPage(_by_time(taken), _cursor(last))
        if entry.event is not None and wanted.takes(entry.event):
            taken.append(entry.event)
        last = entry
    return LogPage(_by_time(taken), None if complete else _cursor(last))


def _by_time(events: list[Event]) -> list[Event]:
    """They lie in the order in which processes told them, each some time after it happened."""
    return sorted(events, key=lambda event: (event.at_ms, _ORDER[event.event]), reverse=True)


async def _entries(partition: Partition, before: tuple[Place, int] | None) -> list[_Entry]:
    end = "+"
    if before is not None:
        (at_ms, number), other = before
        # Of those of one id, the partitions come in their order: what lies after the last one shown was not shown yet.
        end = f"{at_ms}-{number}" if partition.number > other else f"({at_ms}-{number}"
    with outages():
        rows = await partition.client.execute_command("XREVRANGE", partition.keys.log, end, "-", "COUNT", MOST_LOOKED_AT)
    return [_Entry(_place(entry_id), partition.number, _event(fields)) for entry_id, fields in rows]


def _place(entry_id: bytes) -> Place:
    at_ms, _, number = entry_id.partition(b"-")
    return int(at_ms), int(number)


def _event(fields: dict[bytes, bytes]) -> Event | None:
    """``None`` where it is of a form that is not known here."""
    try:
        return _decode(fields[FIELD.encode()])
    except (KeyError, msgspec.MsgspecError):
        return None


def _cursor(last: _Entry | None) -> str | None:
    return None if last is None else f"{last.place[0]}-{last.place[1]}-{last.partition}"


def _before(cursor: str | None) -> tuple[Place, int] | None:
    if cursor is None:
        return None
    parts = cursor.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 19 for part in parts):
        raise InvalidField("cursor", "expected the cursor of a page")
    at_ms, number, partition = map(int, parts)
    return (at_ms, number), partition
