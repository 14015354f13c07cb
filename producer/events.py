"""``/events``: what happens to messages, as it happens (server-sent events). A view, not a log: some may be left out."""

from __future__ import annotations

import asyncio
import re
import time

from aiohttp import web

from producer.context import HUB
from producer.event_schemas import EVENT_QUERY, EventOut
from producer.load import LOAD
from producer.middleware import id_header
from producer.openapi import EVENT_STREAM, describe
from producer.watcher import Wanted, Watcher
from shared.errors import InvalidField
from shared.events import KINDS
from shared.ids import TOPIC_PATTERN

HEARTBEAT_S = 15.0
"""How long a stream is silent at most: proxies close what is silent for a minute."""
LOOK_S = 1.0
"""How soon it is noticed that a reader has gone."""
STUCK_S = 60.0
"""A reader who takes nothing for so long is sent away."""
RETRY_MS = 2_000
"""When a browser comes back after its stream has ended."""
_HEARTBEAT = b":\n\n"
_TOPIC = re.compile(TOPIC_PATTERN)
_HEADERS = {
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events back to send many at once
}


@describe(
    "Events as they happen, as server-sent events: a view, not a log, of which some may be left out",
    tag="events",
    scope="read",
    query=EVENT_QUERY,
    answers={200: EventOut},
    media_type=EVENT_STREAM,
    problems=(422, 503),
)
async def watch_events(request: web.Request) -> web.StreamResponse:
    wanted = _wanted(request)
    response = web.StreamResponse(headers=_HEADERS | id_header(request))
    if request.method == "HEAD":
        return response
    with request.app[HUB].watching(wanted) as watcher, request.app[LOAD].apart():
        try:
            await response.prepare(request)
            await _send(response, b"retry: %d\n\n" % RETRY_MS)
            await _stream(request, response, watcher)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:  # the reader has gone
            pass
    return response


async def _stream(request: web.Request, response: web.StreamResponse, watcher: Watcher) -> None:
    """Until the reader goes, or the process stops."""
    sent_s = time.monotonic()
    while not watcher.ended and request.transport is not None and not request.transport.is_closing():
        text = await watcher.next(LOOK_S)
        if not text and time.monotonic() - sent_s >= HEARTBEAT_S:
            text = _HEARTBEAT
        if text:
            await _send(response, text)
            sent_s = time.monotonic()


async def _send(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(STUCK_S):
        await response.write(text)


def _wanted(request: web.Request) -> Wanted:
    """Raises ``InvalidField``."""
    query = request.query
    unknown = set(query) - set(EVENT_QUERY)
    if unknown:
        raise InvalidField(min(unknown), f"there is no such parameter; expected one of {', '.join(EVENT_QUERY)}")
    topics, states, labels = (frozenset(query.getall(name, ())) for name in EVENT_QUERY)
    for topic in topics:
        if not _TOPIC.fullmatch(topic):
            raise InvalidField("topic", f"expected the name of a topic; got {topic[:64]!r}")
    for state in states:
        if state not in KINDS:
            raise InvalidField("state", f"expected one of {', '.join(KINDS)}; got {state[:40]!r}")
    return Wanted(topics, states, labels)
