"""Messages with a label that are not over: the label index is walked, and each is looked up where it lies now."""

from __future__ import annotations

from shared.errors import InvalidField
from shared.ids import parse_id
from shared.store.labels import Labelled, of_label, place_of
from shared.store.listing.filter import Order
from shared.store.listing.places import Entry, Read
from shared.store.listing.position import Position
from shared.store.messages import View
from shared.store.partition import Partition

_ABSENT = View(id="", topic="", status="absent")
"""What a stranger deleted is looked at too: a page has a bound."""
_FOREIGN = "\t"
"""Before the place of what no script of ours wrote: such a position is in no cursor."""


def labelled(partition: Partition, label: str, order: Order) -> Read:
    """By the time first asked for, whatever it is now: so what is changed meanwhile keeps its place."""

    async def read(after: Position | None, count: int) -> tuple[list[Entry], Position | None]:
        found = await of_label(partition, label, _place(after) if after else "", count, newest=order == "newest")
        entries = [_entry(one) for one in found]
        ours = [entry for entry in entries if not entry.position.tie.startswith(_FOREIGN)]
        return ours, entries[-1].position if len(entries) == count else None

    return read


def _entry(one: Labelled) -> Entry:
    view = one.view or _ABSENT
    return Entry(_position(one.place), view, len(view.stored) + sum(len(failed.error) for failed in view.errors))


def _position(place: str) -> Position:
    """Sorts like the place."""
    message_id = place.partition("\t")[2]
    parsed = parse_id(message_id)
    if parsed is None or place != place_of(message_id):
        return Position(0.0, _FOREIGN + place)
    return Position(parsed.score, place.replace("\t", ":"))


def _place(position: Position) -> str:
    if position.tie.startswith(_FOREIGN):
        return position.tie.removeprefix(_FOREIGN)
    if ":" not in position.tie:
        raise InvalidField("cursor", "expected the next_cursor of an earlier page of the same state and label")
    return position.tie.replace(":", "\t", 1)
