"""What the resources share: typed keys of the application."""

from __future__ import annotations

from aiohttp import web

from producer.drafts import Rules
from producer.requests import IDEMPOTENCY_KEY, trace_context
from producer.watch import RedisWatch
from shared.settings import Settings
from shared.store.partition import Store

SETTINGS = web.AppKey("settings", Settings)
STORE = web.AppKey("store", Store)
WATCH = web.AppKey("watch", RedisWatch)
TOPICS = web.AppKey("topics", frozenset)


def rules(request: web.Request) -> Rules:
    """What this request's messages are checked against."""
    app = request.app
    return Rules(
        app[TOPICS],
        app[SETTINGS].producer,
        app[STORE].partitions[0].clock.now_ms(),
        trace_context(request),
        repeatable=IDEMPOTENCY_KEY in request.headers,
    )
