"""A page: the places where messages of a state lie, merged. Looks at a bounded number of entries, whatever fits the filter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from shared.store.listing.filter import Filter, Order
from shared.store.listing.labelled import labelled
from shared.store.listing.places import Entry, Read, places_of
from shared.store.listing.position import Position, parse_cursor
from shared.store.messages import View
from shared.store.outage import outages
from shared.store.partition import Store

MOST_LOOKED_AT = 1_000
"""Entries in one page, whatever fits the filter."""
MOST_LOOKED_UP = 200
"""The same with a label: each is looked up by itself."""
PAGE_BYTES = 4 * 2**20
"""Of what a page looks at: bodies may be a mebibyte each."""
_SLICES = (4, 16, 64, 256)
"""How many entries are read at a time: few first, since their bodies may be large."""


class Page(NamedTuple):
    views: list[View]
    next_cursor: str | None
    """``None`` where nothing follows."""
    looked_at: int


@dataclass
class _Source:
    """One ZSET or stream, read on from a position in slices."""

    read: Read
    after: Position | None
    reads: int = 0
    waiting: list[Entry] = field(default_factory=list)
    """Read and not looked at, the next one last."""
    ended: bool = False

    async def fill(self) -> None:
        while not self.waiting and not self.ended:
            count = _SLICES[min(self.reads, len(_SLICES) - 1)]
            self.reads += 1
            entries, self.after = await self.read(self.after, count)
            self.ended = self.after is None
            self.waiting = entries[::-1]


async def list_messages(
    store: Store,
    wanted: Filter,
    limit: int,
    cursor: str | None = None,
    *,
    order: Order = "oldest",
    also: Callable[[View], bool] | None = None,
) -> Page:
    """One page of at most ``limit`` messages. ``cursor``: that of the page before, of the same filter and order.

    ``also``: what has to hold of them besides. It may come short, or empty, and still be followed by more.

    Raises ``InvalidField`` for a cursor that is none, ``Outage``.
    """
    after = None if cursor is None else parse_cursor(cursor)
    with outages():
        if wanted.label is not None and wanted.by_label:
            reads, most = [labelled(partition, wanted.label, order) for partition in store.partitions], MOST_LOOKED_UP
        else:
            reads, most = await places_of(store, wanted, order), MOST_LOOKED_AT
        fits = wanted.fits if also is None else lambda view: wanted.fits(view) and also(view)
        return await _merge([_Source(read, after) for read in reads], fits, limit, most, order)


async def _merge(sources: list[_Source], fits: Callable[[View], bool], limit: int, most: int, order: Order) -> Page:
    await asyncio.gather(*(source.fill() for source in sources))
    heads = [(source.waiting[-1].position.rank(order), number) for number, source in enumerate(sources) if source.waiting]
    heapify(heads)
    views, looked_at, size, last = list[View](), 0, 0, None
    while heads and len(views) < limit and looked_at < most:
        source = sources[heads[0][1]]
        if last is not None and size + source.waiting[-1].size > PAGE_BYTES:
            break
        _, number = heappop(heads)
        entry = source.waiting.pop()
        last, looked_at, size = entry.position, looked_at + 1, size + entry.size
        if fits(entry.view):
            views.append(entry.view)
        await source.fill()
        if source.waiting:
            heappush(heads, (source.waiting[-1].position.rank(order), number))
    return Page(views, last.cursor() if heads and last else None, looked_at)
