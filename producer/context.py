"""What the resources share: typed keys of the application."""

from __future__ import annotations

from aiohttp import web

from producer.hub import Hub
from producer.watch import RedisWatch
from shared.settings import Settings
from shared.store.partition import Store
from shared.targets import Targets

SETTINGS = web.AppKey("settings", Settings)
STORE = web.AppKey("store", Store)
HUB = web.AppKey("hub", Hub)
WATCH = web.AppKey("watch", RedisWatch)
TOPICS = web.AppKey("topics", frozenset)
TARGETS = web.AppKey("targets", Targets)
"""Where webhooks may be sent."""
