"""The label index: which messages carry a label and are not over. The scripts that store and end messages keep it."""

from __future__ import annotations

from typing import NamedTuple

from shared.ids import DIGITS
from shared.store import messages
from shared.store.messages import View
from shared.store.outage import outages
from shared.store.partition import Partition


class Labelled(NamedTuple):
    """A member of the index, and its message now; ``None`` where there is none."""

    member: bytes
    view: View | None

    @property
    def place(self) -> str:
        """Where it stands among those of its label: by the time first asked for."""
        return self.member.partition(b"\t")[2].decode("utf-8", "surrogateescape")


def place_of(message_id: str) -> str:
    """That of a message."""
    return f"{message_id[-DIGITS:]}\t{message_id}"


async def of_label(partition: Partition, label: str, after: str, count: int, *, newest: bool) -> list[Labelled]:
    """At most so many of a label, after a place in that order or from its beginning (``''``). Raises ``Outage``."""
    own = label.encode("utf-8", "replace")
    low, high = b"[%b\t" % own, b"(%b\n" % own  # the character after the tab
    if after:
        bound = b"(%b\t%b" % (own, after.encode("utf-8", "surrogateescape"))
        low, high = (low, bound) if newest else (bound, high)
    return await _look(partition, (high, low) if newest else (low, high), count, newest=newest)


async def tidy(partition: Partition, after: bytes, count: int) -> tuple[bytes, int]:
    """Removes members whose messages are gone, such as those that a stranger deleted. Looks at so many after a member.

    Returns the member to go on after, empty at the end, and how many were removed. Raises ``Outage``.
    """
    found = await _look(partition, (b"(" + after if after else b"-", b"+"), count)
    gone = [one.member for one in found if _is_over(one.view)]
    if gone:
        with outages():
            await partition.client.zrem(partition.keys.labels, *gone)
    return found[-1].member if len(found) == count else b"", len(gone)


def _is_over(view: View | None) -> bool:
    """For ever, so that nobody adds the member again meanwhile: only a dead letter comes back."""
    return view is None or view.finished is not None


async def _look(partition: Partition, ends: tuple[bytes, bytes], count: int, *, newest: bool = False) -> list[Labelled]:
    with outages():
        members = await partition.client.zrange(partition.keys.labels, *ends, desc=newest, bylex=True, offset=0, num=count)
    ids = [member.rpartition(b"\t")[2].decode("utf-8", "replace") for member in members]
    views = await messages.get_each(partition, ids)
    return [Labelled(member, view) for member, view in zip(members, views, strict=True)]
