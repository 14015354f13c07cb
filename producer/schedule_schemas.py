"""Requests and answers about recurring schedules; see ``producer.schemas``."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from producer.schemas import (
    Base64,
    CallbackOut,
    Content,
    ContentType,
    DelayIn,
    FlowKey,
    HeaderName,
    HeaderValue,
    In,
    Label,
    LocalOut,
    Out,
    Reached,
    TimeIn,
    TimeOut,
    ZoneIn,
    none_of,
)  # fmt: skip
from shared.record import Priority, RetryOptions
from shared.recurrence import CatchUp, Overlap
from shared.settings import TEXT_END

SCHEDULE_ID = r"^(?!preview$)[A-Za-z0-9][A-Za-z0-9_.-]{0,127}" + TEXT_END
ID_EXPECTED = "a letter or digit, and then at most 127 letters, digits and _ . -; preview is none"
PATTERNS = {SCHEDULE_ID: ID_EXPECTED}

ScheduleId = Annotated[str, Meta(pattern=SCHEDULE_ID, description="Its name, of your choice.", examples=["nightly-report"])]
CronIn = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description=(
            "Five fields (minute, hour, day of the month, month, day of the week), or six with the second before them; names, "
            "lists, ranges, steps, `L`, `LW`, `MON#2`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Sunday is 0 and "
            "7. Where neither day field begins with `*`, one of the two has to match."
        ),
        examples=["0 9 * * MON-FRI"],
    ),
]
EveryIn = Annotated[DelayIn, Meta(description="Time that passes between two runs, at least 100 ms: seconds, or text like 15m.")]
StartIn = Annotated[TimeIn, Meta(description="No run before it; runs of `every` are counted from it, itself the first.")]
EndIn = Annotated[TimeIn, Meta(description="No run after it.")]
MaxRunsIn = Annotated[int, Meta(ge=1, le=1_000_000_000, description="How many runs there are in all.")]
OverlapIn = Annotated[
    Overlap,
    Meta(description="`allow`, or `skip`: a run is left out while the message of the one before is not over."),
]
CatchUpIn = Annotated[
    CatchUp,
    Meta(
        description=(
            "What becomes of runs that were missed, more than ten seconds late, since nothing was there to make them: `all` are "
            "made up, the `latest` alone, or `none`."
        )
    ),
]
WithinIn = Annotated[DelayIn, Meta(description="Runs that were missed longer ago than this are not made up.")]


class ScheduleRule(In, frozen=True):
    """When it runs: exactly one of ``cron`` and ``every``."""

    cron: CronIn | UnsetType = UNSET
    every: EveryIn | UnsetType = UNSET
    timezone: Annotated[ZoneIn, Meta(description="Of `cron`; UTC where there is none.")] | UnsetType = UNSET
    start: StartIn | UnsetType = UNSET
    end: EndIn | UnsetType = UNSET


class ScheduleReplacement(ScheduleRule, frozen=True, kw_only=True):
    """A whole recurring schedule."""

    message: Annotated[Content, Meta(description="What each run delivers.")]
    max_runs: MaxRunsIn | UnsetType = UNSET
    overlap: OverlapIn = "allow"
    catch_up: CatchUpIn = "latest"
    catch_up_within: WithinIn | UnsetType = UNSET
    paused: (
        Annotated[bool, Meta(description="Whether it is kept without running; absent, one that is there stays as it is.")]
        | UnsetType
    ) = UNSET


class NewSchedule(ScheduleReplacement, frozen=True, kw_only=True):
    """A recurring schedule to make. Without an ``id`` one is made up."""

    id: ScheduleId | UnsetType = UNSET


class ScheduleChange(In, frozen=True):
    """What to change of a schedule; what is absent stays, ``null`` takes it away. ``cron`` and ``every`` replace each other."""

    cron: CronIn | UnsetType = UNSET
    every: EveryIn | UnsetType = UNSET
    timezone: ZoneIn | UnsetType | None = UNSET
    start: StartIn | UnsetType | None = UNSET
    end: EndIn | UnsetType | None = UNSET
    message: Annotated[Content, Meta(description="Replaces all of it.")] | UnsetType = UNSET
    max_runs: MaxRunsIn | UnsetType | None = UNSET
    overlap: OverlapIn | UnsetType = UNSET
    catch_up: CatchUpIn | UnsetType = UNSET
    catch_up_within: WithinIn | UnsetType | None = UNSET


class SchedulePreview(ScheduleRule, frozen=True, kw_only=True):
    """A rule to try."""

    count: Annotated[int, Meta(ge=1, le=1000, description="How many runs to show.")] = 10
    after: Annotated[TimeIn, Meta(description="Runs after it; now where it is absent.")] | UnsetType = UNSET


def _both(first: str, second: str) -> dict[str, Any]:
    return {"required": [first, second]}


_ONE_RULE = {"not": {"anyOf": [_both("cron", "every"), _both("every", "timezone"), none_of("cron", "every")]}}
RULES: dict[str, dict[str, Any]] = {
    "ScheduleReplacement": _ONE_RULE,
    "NewSchedule": _ONE_RULE,
    "SchedulePreview": _ONE_RULE,
    "ScheduleChange": {
        "minProperties": 1,
        "not": {"anyOf": [_both(*pair) for pair in combinations(("cron", "every"), 2)]},
    },
}
"""For the description: which fields of a request go together."""


class TemplateOut(Out, frozen=True, kw_only=True):
    """What each run delivers, as it can be sent again."""

    topic: str
    body: msgspec.Raw | UnsetType = UNSET
    body_base64: Base64 | UnsetType = UNSET
    content_type: ContentType | UnsetType = UNSET
    expires_after: str | UnsetType = UNSET
    spread: str | UnsetType = UNSET
    retry: RetryOptions | UnsetType = UNSET
    deadline_ms: int | UnsetType = UNSET
    retention_ms: int | UnsetType = UNSET
    labels: tuple[Label, ...] = ()
    headers: dict[HeaderName, HeaderValue] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    callback: CallbackOut | UnsetType = UNSET
    failure_callback: CallbackOut | UnsetType = UNSET
    flow_key: FlowKey | UnsetType = UNSET
    ordered: bool = False
    priority: Priority | UnsetType = UNSET


class RunOut(Out, frozen=True):
    """A run to come, or one that was made."""

    at: TimeOut
    at_local: LocalOut
    message_id: Annotated[str, Meta(description="The message of one that was made.")] = ""


class ScheduleOut(Out, frozen=True, kw_only=True):
    """A recurring schedule as it is at the moment of the answer."""

    id: str
    status: Annotated[str, Meta(description="active, paused or ended.", examples=["active"])]
    cron: str | UnsetType = UNSET
    every: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    start: TimeOut | UnsetType = UNSET
    end: TimeOut | UnsetType = UNSET
    message: TemplateOut
    max_runs: int | UnsetType = UNSET
    overlap: Annotated[str, Meta(examples=["allow"])]
    catch_up: Annotated[str, Meta(examples=["latest"])]
    catch_up_within: str | UnsetType = UNSET
    created_at: TimeOut
    updated_at: TimeOut
    runs: Annotated[int, Meta(description="Messages made by its rule so far.")]
    skipped: Annotated[int, Meta(description="Runs left out since the message before was not over.")]
    missed: Annotated[int, Meta(description="Runs that were missed and not made up; at most 100 are counted for one outage.")]
    next_run: Annotated[TimeOut | UnsetType, Meta(description="Absent where it is paused or has ended.")] = UNSET
    next_runs: tuple[RunOut, ...] | UnsetType = UNSET
    past_runs: Annotated[tuple[RunOut, ...] | UnsetType, Meta(description="Newest first.")] = UNSET
    durability: Annotated[Reached | UnsetType, Meta(description="How safe the change is that was asked for.")] = UNSET
    deduplicated: bool = False


class Schedules(Out, frozen=True):
    items: Annotated[tuple[ScheduleOut, ...], Meta(description="In the order of their ids.")]
    next_cursor: Annotated[str, Meta(description="Give it as `cursor` for the next page; absent on the last.")] = ""


class RunsOut(Out, frozen=True):
    runs: Annotated[tuple[RunOut, ...], Meta(description="The next runs of that rule, earliest first.")]


class RunMade(Out, frozen=True, kw_only=True):
    """A run beside the rule."""

    message_id: str
    at: TimeOut
    durability: Reached


class ScheduleDeleted(Out, frozen=True):
    id: str
    status: str
    durability: Reached
