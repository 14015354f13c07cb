"""``/v2/logs``, and ``/v2/events``, which is its older name and the one that clients ask."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from msgspec import Struct

from producer.answers import json_answer
from producer.context import STORE
from producer.openapi import describe
from producer.qstash.log_views import ASKED, EVERY, QstashLog, State, kinds_of, log_out
from producer.qstash.query import LATEST_MS, count, cursor, order, refuse_unknown, values, whole
from shared.errors import InvalidField
from shared.store import log
from shared.store.log_filter import LogFilter

LARGEST_PAGE = 1_000
ENTRIES_OF_AN_EVENT = 2
_MANY: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_TIME: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": LATEST_MS}
_WORDS = (
    "messageId",
    "messageIds",
    "url",
    "topicName",
    "queueName",
    "scheduleId",
    "label",
    "host",
    "path",
    "callerIp",
    "flowControlKey",
)
_QUERY: dict[str, tuple[dict[str, Any], str]] = {
    **dict.fromkeys(_WORDS, (_MANY, "Only with one of these; several are given again, or with commas between.")),
    "state": ({"type": "string", "enum": sorted(ASKED)}, "`IN_PROGRESS` is ACTIVE, RETRY and ERROR."),
    "fromDate": (_TIME, "Only what happened at this time, in milliseconds since the epoch, or later."),
    "toDate": (_TIME, "Only what happened at this time, in milliseconds since the epoch, or earlier."),
    "api": ({"type": "string"}, "Is ignored."),
    "cursor": ({"type": "string"}, "`cursor` of the page before."),
    "count": ({"type": "integer", "minimum": 1, "default": LARGEST_PAGE}, f"Most of a page; at most {LARGEST_PAGE}."),
    "order": ({"type": "string", "enum": ["latestFirst"]}, "There is no other."),
}


class LogsOut(Struct, frozen=True, omit_defaults=True):
    logs: tuple[QstashLog, ...]
    cursor: str = ""
    """Absent on the last page."""


class EventsOut(Struct, frozen=True, omit_defaults=True):
    events: tuple[QstashLog, ...]
    cursor: str = ""
    """Absent on the last page."""


@describe(
    "Logs: what happened to webhooks, the newest first",
    tag="QStash logs",
    scope="read",
    query=_QUERY,
    answers={200: LogsOut},
    problems=(400, 422, 503),
)
async def list_logs(request: web.Request) -> web.Response:
    return json_answer(LogsOut(*await _page(request)))


@describe(
    "Logs, by their older name",
    tag="QStash logs",
    scope="read",
    query=_QUERY,
    answers={200: EventsOut},
    problems=(400, 422, 503),
)
async def list_log_events(request: web.Request) -> web.Response:
    return json_answer(EventsOut(*await _page(request)))


async def _page(request: web.Request) -> tuple[tuple[QstashLog, ...], str]:
    """A page comes short rather than with half of an event's entries; but for one of a single entry, which may be two."""
    refuse_unknown(request, _QUERY)
    order(request, "latestFirst")
    states, limit = _states(request), count(request, LARGEST_PAGE)
    events = limit if states != EVERY else max(1, limit // ENTRIES_OF_AN_EVENT)
    page = await log.read(request.app[STORE], _filter(request, states), events, cursor(request))
    return tuple(entry for event in page.entries for entry in log_out(event, states)), page.next_cursor or ""


def _states(request: web.Request) -> frozenset[State]:
    named = request.query.get("state")
    if named is None:
        return EVERY
    if named.upper() not in ASKED:
        raise InvalidField("state", f"expected one of {', '.join(sorted(ASKED))}; got {named[:40]!r}", 400)
    return ASKED[named.upper()]


def _filter(request: web.Request, states: frozenset[State]) -> LogFilter:
    return LogFilter(
        kinds=kinds_of(states),
        message_ids=values(request, "messageId", "messageIds"),
        urls=values(request, "url"),
        groups=values(request, "topicName"),
        queues=values(request, "queueName"),
        schedules=values(request, "scheduleId"),
        labels=values(request, "label"),
        hosts=values(request, "host"),
        paths=values(request, "path"),
        callers=values(request, "callerIp"),
        flow_keys=values(request, "flowControlKey"),
        from_ms=whole(request, "fromDate", 0, LATEST_MS),
        until_ms=whole(request, "toDate", 0, LATEST_MS),
    )


ROUTES = (
    web.get("/v2/logs", list_logs),
    web.get("/v2/events", list_log_events),
)
