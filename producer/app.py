"""The application: resources opened and closed with it, routes, middleware."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator

from aiohttp import web

from producer.auth import authorised, is_local
from producer.context import HUB, SETTINGS, STORE, TARGETS, TOPICS, WATCH
from producer.hub import Hub
from producer.limits import limited
from producer.load import LOAD, Load, bounded
from producer.middleware import problems, request_ids
from producer.openapi import add_description
from producer.routes import ROUTES
from producer.watch import RedisWatch
from shared.lifecycle import process_name
from shared.settings import Settings
from shared.store.partition import Store
from shared.store.publishing import Publishing
from shared.targets import Targets
from shared.waiting import end


def make_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=(request_ids, problems, authorised, bounded, limited))
    app[SETTINGS] = settings
    app[LOAD] = Load(settings.producer)
    app[TARGETS] = Targets(settings.webhooks)
    app[TOPICS] = frozenset(settings.all_topics())
    app.cleanup_ctx.append(_redis)
    app.on_shutdown.append(_end_streams)
    app.add_routes(ROUTES)
    with warnings.catch_warnings():  # aiohttp-apispec keeps its things under plain string keys
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        add_description(app, keyed=bool(settings.auth.keys), local=is_local(settings.auth))
    return app


async def _redis(app: web.Application) -> AsyncIterator[None]:
    """Opens the store and what runs beside requests. While Redis is out the producer starts all the same, and is unready."""
    app[STORE] = Store(app[SETTINGS], f"producer-{process_name()}")
    app[WATCH] = RedisWatch(app[STORE])
    app[HUB] = Hub(app[STORE])
    entries = app[SETTINGS].webhooks.log_entries
    publishing = [Publishing(partitions, entries) for partitions in app[STORE].by_server()]
    loops = (app[WATCH].run(), *(one.run() for one in publishing), *app[HUB].loops())
    tasks = [asyncio.create_task(loop) for loop in loops]
    yield
    await end(*tasks)
    await asyncio.gather(*(one.finish() for one in publishing))
    await app[WATCH].tallies.flush_last()
    await app[STORE].close()


async def _end_streams(app: web.Application) -> None:
    """They would go on until the time to stop has passed."""
    app[HUB].end()
