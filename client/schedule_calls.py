"""The calls of ``/schedules``; see ``client.message_calls``."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Unpack

from client.answers import Page
from client.call import Call, changes, creates, lists, looks, path
from client.fields import Durability, RunsFields, ScheduleChangeFields, ScheduleFields, as_json
from client.schedule_answers import RunMade, Runs, Schedule, ScheduleDeleted


def create_schedule(
    schedule_id: str | None = None,
    *,
    idempotency_key: str | None = None,
    durability: Durability | None = None,
    **fields: Unpack[ScheduleFields],
) -> Call[Schedule]:
    """Makes a recurring schedule; without an id the service makes one up. ``Conflict`` where there is one of that id.

    Repeated after any failure: by the idempotency key, made by the client where none is given, a repeat finds the first.
    """
    content = as_json({"id": schedule_id, **fields})
    return creates("/schedules", Schedule, content, idempotency_key, durability)


def put_schedule(
    schedule_id: str, *, if_match: str | None = None, durability: Durability | None = None, **fields: Unpack[ScheduleFields]
) -> Call[Schedule]:
    """Makes a recurring schedule of that id, or replaces it; its counters go on.

    Repeated after any failure: the same again changes nothing.
    """
    where, content = path("schedules", schedule_id), as_json(fields)
    return changes("PUT", where, Schedule, content, repeatable=True, durability=durability, if_match=if_match)


def change_schedule(
    schedule_id: str,
    *,
    if_match: str | None = None,
    durability: Durability | None = None,
    **fields: Unpack[ScheduleChangeFields],
) -> Call[Schedule]:
    """Changes what is named; ``None`` takes it away.

    Repeated after any failure: each field says what it is to be. (A new ``every`` without a ``start`` counts from the repeat.)
    """
    where, content = path("schedules", schedule_id), as_json(fields, keep_none=True)
    return changes("PATCH", where, Schedule, content, repeatable=True, durability=durability, if_match=if_match)


def pause_schedule(schedule_id: str, *, if_match: str | None = None, durability: Durability | None = None) -> Call[Schedule]:
    """It makes nothing until it is resumed. Repeated after any failure: one that is paused stays so."""
    where = path("schedules", schedule_id, "pause")
    return changes("POST", where, Schedule, repeatable=True, durability=durability, if_match=if_match)


def resume_schedule(schedule_id: str, *, if_match: str | None = None, durability: Durability | None = None) -> Call[Schedule]:
    """It goes on with the first run from now on. Repeated after any failure: one that is active stays so."""
    where = path("schedules", schedule_id, "resume")
    return changes("POST", where, Schedule, repeatable=True, durability=durability, if_match=if_match)


def run_schedule(schedule_id: str, *, durability: Durability | None = None) -> Call[RunMade]:
    """Makes one message now, beside the rule.

    Repeated only where it surely was not done: each call makes a message, and the service knows no idempotency key for it.
    """
    return changes("POST", path("schedules", schedule_id, "run"), RunMade, repeatable=False, durability=durability)


def delete_schedule(
    schedule_id: str, *, if_match: str | None = None, durability: Durability | None = None
) -> Call[ScheduleDeleted]:
    """It makes nothing more; the messages that it has made stay.

    Repeated after any failure: where an earlier try may have been done and there is none any more, it is deleted, as was asked.
    """
    where = path("schedules", schedule_id)
    call = changes("DELETE", where, ScheduleDeleted, repeatable=True, durability=durability, if_match=if_match)
    return replace(call, gone=ScheduleDeleted(id=schedule_id, status="deleted"))


def get_schedule(schedule_id: str) -> Call[Schedule]:
    """A recurring schedule as it is now, with its ``etag``, its next 5 runs and its last 20. Repeated freely."""
    return looks("GET", path("schedules", schedule_id), Schedule)


def list_schedules(
    *,
    topic: str | None = None,
    status: Literal["active", "paused", "ended"] | None = None,
    page_size: int | None = None,
) -> Call[Page[Schedule]]:
    """All of them by their ids, asked for in pages of ``page_size`` (50; 500 at most). Each page is repeated freely."""
    return lists("/schedules", Page[Schedule], topic=topic, status=status, limit=page_size)


def preview_schedule(**fields: Unpack[RunsFields]) -> Call[Runs]:
    """The next runs of a rule. Stores nothing, so it is repeated freely."""
    return looks("POST", "/schedules/preview", Runs, as_json(fields))
