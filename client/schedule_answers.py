"""What the service answers about recurring schedules; see ``client.answers``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from client.answers import Answer, CallbackOf, RetryPolicy


class ScheduledMessage(Answer, frozen=True, kw_only=True):
    """What each run delivers. Durations are text such as ``1h30m``."""

    topic: str
    body: Any = None
    body_bytes: bytes | None = msgspec.field(default=None, name="body_base64")
    content_type: str = ""
    expires_after: str = ""
    spread: str = ""
    retry: RetryPolicy | None = None
    deadline_ms: int | None = None
    retention_ms: int | None = None
    labels: tuple[str, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    url: str = ""
    method: str = ""
    callback: CallbackOf | None = None
    failure_callback: CallbackOf | None = None
    flow_key: str = ""
    ordered: bool = False
    priority: str = ""


class Run(Answer, frozen=True, kw_only=True):
    """A run to come, or one that was made."""

    at: datetime
    at_local: datetime
    """The same with the offset of the schedule's zone."""
    message_id: str = ""
    """The message of one that was made."""


class Runs(Answer, frozen=True, kw_only=True):
    """The next runs of a rule, earliest first."""

    runs: tuple[Run, ...] = ()


class Schedule(Answer, frozen=True, kw_only=True):
    """A recurring schedule as it is at the moment of the answer."""

    id: str
    status: str
    """active, paused or ended."""
    cron: str = ""
    every: str = ""
    """A duration such as ``1h30m``."""
    timezone: str = ""
    start: datetime | None = None
    end: datetime | None = None
    message: ScheduledMessage
    max_runs: int | None = None
    overlap: str
    catch_up: str
    catch_up_within: str = ""
    created_at: datetime
    updated_at: datetime
    runs: int
    """Messages made by its rule so far."""
    skipped: int
    missed: int
    next_run: datetime | None = None
    next_runs: tuple[Run, ...] = ()
    """Told by ``get_schedule`` alone, as the past ones, newest first, are."""
    past_runs: tuple[Run, ...] = ()
    durability: str | None = None
    deduplicated: bool = False
    etag: str = ""
    """For ``if_match``; empty in a list."""


class RunMade(Answer, frozen=True, kw_only=True):
    """A run beside the rule."""

    message_id: str
    at: datetime
    durability: str


class ScheduleDeleted(Answer, frozen=True, kw_only=True):
    """A recurring schedule that makes nothing more."""

    id: str
    status: str
    durability: str | None = None
    """``None`` where the answer was lost, and a repeat found it gone."""
