"""The calls of ``/dead-letters``; see ``client.message_calls``."""

from __future__ import annotations

from typing import Unpack

from client.answers import Message, Page
from client.call import Call, changes, lists, path
from client.fields import Durability, WhenFields, as_json


def list_dead_letters(*, topic: str | None = None, page_size: int | None = None) -> Call[Page[Message]]:
    """All dead letters, newest first, asked for in pages of ``page_size`` (50; 500 at most). Each page is repeated freely."""
    return lists("/dead-letters", Page[Message], topic=topic, limit=page_size)


def replay(message_id: str, *, durability: Durability | None = None, **fields: Unpack[WhenFields]) -> Call[Message]:
    """Schedules a dead letter again, at once or at a time, with no attempt spent. Needs the scope ``admin``.

    Repeated only where it surely was not done: in between it may have died once more, and a repeat would run it a third time.
    """
    where = path("dead-letters", message_id, "replay")
    return changes("POST", where, Message, as_json(fields), repeatable=False, durability=durability)
