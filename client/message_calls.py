"""The calls of ``/messages``, and the echo. Each raises ``client.Error``; its docstring says whether a repeat is harmless."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Unpack

from client.answers import Accepted, BatchAccepted, Cancelled, EchoAccepted, Many, Message, Page, Preview
from client.call import Call, changes, creates, lists, looks, path
from client.fields import (
    ChangeFields,
    Durability,
    FilterFields,
    MessageFields,
    NewMessage,
    Order,
    State,
    Time,
    as_json,
)


def schedule(
    topic: str, *, idempotency_key: str | None = None, durability: Durability | None = None, **fields: Unpack[MessageFields]
) -> Call[Accepted]:
    """Schedules a message. When it returns, the message is stored.

    ``fields``: see ``MessageFields``; with no time it is due at once. Repeated after any failure: the idempotency key, made by
    the client where none is given, keeps it one message. Since there is a key, ``expires_at`` is not held against the clock:
    a message that is given one in the past is stored, and expires.
    """
    return creates("/messages", Accepted, as_json({"topic": topic, **fields}), idempotency_key, durability)


def schedule_many(
    messages: Iterable[NewMessage], *, idempotency_key: str | None = None, durability: Durability | None = None
) -> Call[BatchAccepted]:
    """Schedules up to 10,000 messages (``Producer.MaxBatch``): all of them, or none where one is wrong.

    Repeated after any failure, as ``schedule`` is: a repeat stores what is missing and doubles nothing.
    """
    content = [as_json(message) for message in messages]
    return creates("/messages/batch", BatchAccepted, content, idempotency_key, durability)


def echo_at(
    time: Time, message: str, *, idempotency_key: str | None = None, durability: Durability | None = None
) -> Call[EchoAccepted]:
    """Writes a text to the service's log and standard output at its time. Repeated after any failure, as ``schedule`` is."""
    return creates("/echoAtTime", EchoAccepted, as_json({"time": time, "message": message}), idempotency_key, durability)


def preview(topic: str, **fields: Unpack[MessageFields]) -> Call[Preview]:
    """When a message would be delivered, and every retry its policy allows. Stores nothing, so it is repeated freely."""
    return looks("POST", "/messages/preview", Preview, as_json({"topic": topic, **fields}))


def get(message_id: str) -> Call[Message]:
    """A message as it is now, with its ``etag``. Repeated freely."""
    return looks("GET", path("messages", message_id), Message)


def change(
    message_id: str, *, if_match: str | None = None, durability: Durability | None = None, **fields: Unpack[ChangeFields]
) -> Call[Message]:
    """Changes the time or the body of a message that waits; ``if_match``: the ``etag`` of the message that is meant.

    Repeated after any failure where it says the same again: a time and a body do. A ``delay`` counts from the repeat, which
    would make the message later than asked for, so such a change is repeated only where it surely was not made, or where
    ``if_match`` keeps it from being made twice. Where a repeat raises ``Conflict`` with ``maybe_done``, the first try may have
    made the change and the message have gone its way since.
    """
    relative, guarded = fields.get("delay") is not None, if_match not in {None, "*"}
    return changes(
        "PATCH",
        path("messages", message_id),
        Message,
        as_json(fields),
        repeatable=guarded or not relative,
        durability=durability,
        if_match=if_match,
    )


def cancel(message_id: str, *, if_match: str | None = None, durability: Durability | None = None) -> Call[Cancelled]:
    """Takes a message back: when it returns, the message will not be delivered.

    Repeated after any failure: of a message that is cancelled already the service says the same again, also with ``if_match``.
    """
    where = path("messages", message_id)
    return changes("DELETE", where, Cancelled, repeatable=True, durability=durability, if_match=if_match)


def deliver_now(message_id: str, *, if_match: str | None = None, durability: Durability | None = None) -> Call[Message]:
    """Makes a waiting message due at once.

    Repeated only where it surely was not done: in between it may have failed and wait for its next attempt, which a repeat
    would hurry on; and of a message that is on its way already the repeat says that it is too late.
    """
    where = path("messages", message_id, "deliver")
    return changes("POST", where, Message, repeatable=False, durability=durability, if_match=if_match)


def list_messages(
    *, state: State = "waiting", order: Order = "oldest", page_size: int | None = None, **fields: Unpack[FilterFields]
) -> Call[Page[Message]]:
    """All messages of a state that fit, asked for in pages of ``page_size`` (50; 500 at most). Each page is repeated freely."""
    return lists("/messages", Page[Message], state=state, order=order, limit=page_size, **as_json(fields))


def cancel_many(
    *,
    state: Literal["waiting", "scheduled", "retrying", "ready"] = "waiting",
    dry_run: bool = False,
    cursor: str | None = None,
    durability: Durability | None = None,
    **fields: Unpack[FilterFields],
) -> Call[Many]:
    """Cancels those that fit among the next 1,000 of a state. At least one field is needed, and the scope ``admin``.

    Repeated after any failure: what the first try cancelled fits no more, and is then missing in ``affected``.
    """
    content = as_json({"filter": as_json(fields), "state": state, "dry_run": dry_run, "cursor": cursor})
    return changes("POST", "/messages/cancel", Many, content, repeatable=True, durability=durability)


def deliver_many_now(
    *,
    state: Literal["waiting", "scheduled", "retrying"] = "waiting",
    dry_run: bool = False,
    cursor: str | None = None,
    durability: Durability | None = None,
    **fields: Unpack[FilterFields],
) -> Call[Many]:
    """Makes those that fit among the next 1,000 of a state due at once. Needs at least one field, and the scope ``admin``.

    Repeated only where it surely was not done, as ``deliver_now`` is; a ``dry_run`` freely.
    """
    content = as_json({"filter": as_json(fields), "state": state, "dry_run": dry_run, "cursor": cursor})
    return changes("POST", "/messages/deliver", Many, content, repeatable=dry_run, durability=durability)
