"""What happens to messages, for those who watch, and of some topics for the log. Pure; knows no Redis.

Each process keeps what it does for a moment, and only where somebody wants it. Whoever tells something never waits: what finds no
room is counted instead.
"""

from __future__ import annotations

import threading
from collections import deque
from secrets import token_hex
from typing import Annotated, Literal, get_args

import msgspec

from shared.about import About
from shared.settings import TEXT_END

Kind = Literal[
    "scheduled", "changed", "cancelled", "ready", "running", "delivered", "retrying", "dead", "expired", "replayed", "deleted"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
ROOM = 2_000
"""Events that may wait to be told."""
MOST_AT_ONCE = 200
"""Of a batch."""
ERROR_CHARACTERS = 300
"""Of an error that are told; the message has all of it."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that happened to a message; of ``ready``, to ``count`` messages of a topic."""

    event: Kind
    at_ms: int
    """By Redis's clock."""
    topic: str
    message_id: str = ""
    due_ms: int = 0
    """When it is due from now on."""
    attempt: int = 0
    worker: str = ""
    lateness_ms: int | None = None
    error: str = ""
    labels: tuple[str, ...] = ()
    """Where whoever tells it has the message at hand."""
    count: int = 0
    about: About | None = None
    """Only of what is kept in the log."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a process tells at once. Its events are numbered, with gaps where some were left out."""

    origin: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}" + TEXT_END)]
    first: Annotated[int, msgspec.Meta(ge=0)]
    """The number of the first of them."""
    dropped: Annotated[int, msgspec.Meta(ge=0)]
    """How many were left out before the first."""
    events: tuple[Event, ...]


class Outbox:
    """Events of one partition that wait to be told. Any thread may add."""

    def __init__(self, kept: frozenset[str] = frozenset()) -> None:
        """``kept``: topics of which the log tells."""
        self.wanted = False
        """Whether anybody watches."""
        self.kept = kept
        self._origin = token_hex(4)
        self._number = 0
        self._waiting = deque[Event]()
        self._dropped = 0
        self._counting = threading.Lock()

    def wants(self, topic: str) -> bool:
        """Nobody need make an event where this is false."""
        return self.wanted or topic in self.kept

    def add(self, event: Event) -> None:
        if len(self._waiting) < ROOM:
            self._waiting.append(event)
        else:
            self._drop(1)

    def want(self, *, wanted: bool) -> None:
        """What waits for those who watched before is told to nobody else; the log gets it all the same."""
        if wanted is not self.wanted:
            self.wanted = wanted
            for _ in range(len(self._waiting)):
                event = self._waiting.popleft()
                if event.message_id and event.topic in self.kept:
                    self._waiting.append(event)
            self._dropped = 0

    def take(self) -> Batch | None:
        """The next ones to tell; ``None`` where there is nothing. In the process's own event loop."""
        if not self._waiting and not self._dropped:
            return None
        events = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        first = self._number + dropped
        self._number = first + len(events)
        return Batch(origin=self._origin, first=first, dropped=dropped, events=tuple(events))

    def lost(self, batch: Batch) -> None:
        """A batch could not be told: the next one says so."""
        self._drop(batch.dropped + len(batch.events))

    def _drop(self, count: int) -> None:
        with self._counting:
            self._dropped += count


UNHEARD = Outbox()
"""Of what belongs to no partition: it is never wanted."""
