"""The calls of ``/dead-letters``; see ``client.message_calls``."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from client.answers import DeadLetterDeleted, Many, Message, Page
from client.call import Call, changes, lists, looks, path
from client.fields import DeadLetterFilterFields, Durability, Order, ReplayFields, as_json


def list_dead_letters(
    *, order: Order = "newest", page_size: int | None = None, **fields: Unpack[DeadLetterFilterFields]
) -> Call[Page[Message]]:
    """All dead letters that fit, asked for in pages of ``page_size`` (50; 500 at most). Each page is repeated freely."""
    return lists("/dead-letters", Page[Message], order=order, limit=page_size, **as_json(fields))


def get_dead_letter(message_id: str) -> Call[Message]:
    """A dead letter with its attempts and errors. Repeated freely."""
    return looks("GET", path("dead-letters", message_id), Message)


def replay(message_id: str, *, durability: Durability | None = None, **fields: Unpack[ReplayFields]) -> Call[Message]:
    """Schedules a dead letter again, at once or at a time, with no attempt spent. Needs the scope ``admin``.

    Repeated only where it surely was not done: in between it may have died once more, and a repeat would run it a third time.
    """
    where = path("dead-letters", message_id, "replay")
    return changes("POST", where, Message, as_json(fields), repeatable=False, durability=durability)


def delete_dead_letter(message_id: str, *, durability: Durability | None = None) -> Call[DeadLetterDeleted]:
    """Removes a dead letter for ever. Needs the scope ``admin``.

    Repeated after any failure: where an earlier try may have been done and there is none any more, it is deleted, as was asked.
    """
    call = changes("DELETE", path("dead-letters", message_id), DeadLetterDeleted, repeatable=True, durability=durability)
    return replace(call, gone=DeadLetterDeleted(id=message_id, status="deleted"))


def replay_many(
    *,
    change: ReplayFields | None = None,
    dry_run: bool = False,
    cursor: str | None = None,
    durability: Durability | None = None,
    **fields: Unpack[DeadLetterFilterFields],
) -> Call[Many]:
    """Schedules again those that fit among the next 1,000 dead letters. Needs at least one field, and the scope ``admin``.

    Repeated only where it surely was not done, as ``replay`` is; a ``dry_run`` freely.
    """
    other = None if change is None else as_json(change)
    content = as_json({"filter": as_json(fields), "change": other, "dry_run": dry_run, "cursor": cursor})
    return changes("POST", "/dead-letters/replay", Many, content, repeatable=dry_run, durability=durability)


def delete_many(
    *,
    dry_run: bool = False,
    cursor: str | None = None,
    durability: Durability | None = None,
    **fields: Unpack[DeadLetterFilterFields],
) -> Call[Many]:
    """Removes for ever those that fit among the next 1,000 dead letters. Needs at least one field, and the scope ``admin``.

    Repeated after any failure: what the first try deleted is gone, and then missing in ``affected``.
    """
    content = as_json({"filter": as_json(fields), "dry_run": dry_run, "cursor": cursor})
    return changes("POST", "/dead-letters/delete", Many, content, repeatable=True, durability=durability)
