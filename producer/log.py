"""``/log``: what happened to webhook messages, the newest first. As much of it as is kept."""

from __future__ import annotations

import base64
import re

from aiohttp import web
from msgspec import UNSET, UnsetType

from producer.answers import json_answer
from producer.context import STORE
from producer.filters import query_time
from producer.log_schemas import LARGEST_PAGE, LOG_QUERY, MOST_VALUES, PAGE, SEVERAL, LogEntries, LogEntryOut
from producer.openapi import describe
from producer.requests import page_limit, rules
from producer.schemas import ResponseOut
from shared.about import MOST_BYTES, About
from shared.errors import InvalidField
from shared.events import KINDS, Event
from shared.ids import TOPIC_PATTERN
from shared.store import log
from shared.store.log_filter import LogFilter
from shared.times import format_ms

_TOPIC = re.compile(TOPIC_PATTERN)
_CHARACTER_BYTES = 4
"""Most of one in UTF-8."""


@describe(
    "What happened to webhook messages, the newest first. Where few fit, a page comes short, or empty, and has a cursor",
    tag="events",
    scope="read",
    query=LOG_QUERY,
    answers={200: LogEntries},
    problems=(422, 503),
)
async def list_log(request: web.Request) -> web.Response:
    wanted, limit = _wanted(request), page_limit(request, PAGE, LARGEST_PAGE)
    page = await log.read(request.app[STORE], wanted, limit, request.query.get("cursor"))
    return json_answer(LogEntries(items=tuple(map(_out, page.entries)), next_cursor=page.next_cursor or ""))


def _wanted(request: web.Request) -> LogFilter:
    """Raises ``InvalidField``."""
    unknown = set(request.query) - set(LOG_QUERY)
    if unknown:
        raise InvalidField(min(unknown), f"there is no such parameter; expected one of {', '.join(sorted(LOG_QUERY))}")
    given = {name: _values(request, name) for name in SEVERAL}
    for state in given["state"] - set(KINDS):
        raise InvalidField("state", f"expected one of {', '.join(KINDS)}; got {state[:40]!r}")
    for topic in given["topic"]:
        if not _TOPIC.fullmatch(topic):
            raise InvalidField("topic", f"expected the name of a topic; got {topic[:64]!r}")
    return LogFilter(
        kinds=frozenset(kind for kind in KINDS if kind in given["state"]),
        topics=given["topic"],
        message_ids=given["message_id"],
        urls=given["url"],
        groups=given["url_group"],
        schedules=given["schedule"],
        labels=given["label"],
        flow_keys=given["flow_key"],
        from_ms=_time(request, "at_from"),
        until_ms=_time(request, "at_until"),
    )


def _values(request: web.Request, name: str) -> frozenset[str]:
    found = request.query.getall(name, [])
    if len(found) > MOST_VALUES:
        raise InvalidField(name, f"expected at most {MOST_VALUES} values; got {len(found)}")
    return frozenset(found)


def _time(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    return None if text is None else query_time(name, text, rules(request))


def _out(event: Event) -> LogEntryOut:
    about = event.about or About()
    body, body_base64 = _text_or_base64(about.body)
    return LogEntryOut(
        event=event.event,
        at=format_ms(event.at_ms),
        topic=event.topic,
        message_id=event.message_id,
        deliver_at=format_ms(event.due_ms) if event.due_ms else UNSET,
        attempt=event.attempt or UNSET,
        worker=event.worker,
        lateness_ms=UNSET if event.lateness_ms is None else event.lateness_ms,
        error=event.error,
        labels=event.labels,
        url=about.url,
        method=about.method,
        url_group=about.group,
        endpoint=about.endpoint,
        schedule=about.schedule,
        flow_key=about.flow_key,
        caller_ip=about.caller_ip,
        max_attempts=about.max_attempts or UNSET,
        callback=about.callback,
        failure_callback=about.failure_callback,
        headers=about.headers or UNSET,
        body=body,
        body_base64=body_base64,
        truncated=about.truncated,
        response=_response(about) if about.status else UNSET,
    )


def _response(about: About) -> ResponseOut:
    body, body_base64 = _text_or_base64(about.response_body)
    return ResponseOut(
        status=about.status,
        headers=about.response_headers,
        body=body,
        body_base64=body_base64,
        truncated=about.response_truncated,
    )


def _text_or_base64(content: bytes) -> tuple[str, str | UnsetType]:
    """The last character of a text that was cut may be half of one: it is left out."""
    for left_out in range(_CHARACTER_BYTES if len(content) == MOST_BYTES else 1):
        try:
            return content[: len(content) - left_out].decode(), UNSET
        except UnicodeDecodeError:
            continue
    return "", base64.b64encode(content).decode()
