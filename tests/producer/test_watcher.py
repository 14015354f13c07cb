"""What waits for one who watches."""

from __future__ import annotations

import asyncio
import json

import pytest

from producer.watcher import MOST_AT_ONCE, ROOM, Wanted, Watcher
from shared.events import Event

NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(topics=frozenset({"work", "echo"})), True),
        (Wanted(topics=frozenset({"echo"})), False),
        (Wanted(states=frozenset({"dead", "running"})), True),
        (Wanted(states=frozenset({"dead"})), False),
        (Wanted(labels=frozenset({"blue", "red"})), True),
        (Wanted(labels=frozenset({"blue"})), False),
        (Wanted(frozenset({"work"}), frozenset({"running"}), frozenset({"blue"})), False),
    ],
)
def test_what_is_wanted(wanted: Wanted, *, fits: bool) -> None:
    """All that is named has to fit; of several of a kind any will do."""
    assert wanted.fits(Event(event="running", at_ms=1, topic="work", labels=("red",))) is fits


async def taken(watcher: Watcher) -> list[str]:
    """All that waits, in the order in which it is sent."""
    text = b""
    while more := await watcher.next(0):
        text += more
    return text.decode().split("\n\n")[:-1]


async def test_what_finds_no_room_is_counted_where_it_is_missing() -> None:
    """After those that wait, and before those that come later. Nothing more is kept, however much comes."""
    watcher = Watcher(Wanted(), lambda: 0)
    for number in range(ROOM + 5):
        watcher.put(b"%d\n\n" % number)
    watcher.missed(2)
    first = await watcher.next(0)
    watcher.put(b"later\n\n")

    texts = await taken(watcher)

    assert first.count(b"\n\n") == MOST_AT_ONCE
    assert texts[:-2] == [str(number) for number in range(MOST_AT_ONCE, ROOM)]
    dropped = json.loads(texts[-2].partition("data: ")[2])
    assert (dropped["event"], dropped["count"], texts[-1]) == ("dropped", 7, "later")


async def test_the_end_is_told_at_once() -> None:
    """Whoever waits is woken."""
    watcher = Watcher(Wanted(), lambda: 0)
    waiting = asyncio.create_task(watcher.next(60))
    watcher.end()

    assert await waiting == b""
    assert watcher.ended
    assert await watcher.next(60) == b""
