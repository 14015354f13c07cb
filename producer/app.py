"""The application: resources opened and closed with it, routes, middleware."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator

from aiohttp import web

from producer.auth import authorised, is_local
from producer.context import SETTINGS, STORE, TOPICS, WATCH
from producer.limits import limited
from producer.load import LOAD, Load, bounded
from producer.middleware import problems, request_ids
from producer.openapi import add_description
from producer.routes import ROUTES
from producer.watch import RedisWatch
from shared.lifecycle import process_name
from shared.settings import Settings
from shared.store.partition import Store
from shared.waiting import end


def make_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=(request_ids, problems, authorised, bounded, limited))
    app[SETTINGS] = settings
    app[LOAD] = Load(settings.producer)
    app[TOPICS] = frozenset(settings.all_topics())
    app.cleanup_ctx.append(_redis)
    app.add_routes(ROUTES)
    with warnings.catch_warnings():  # aiohttp-apispec keeps its things under plain string keys
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        add_description(app, keyed=bool(settings.auth.keys), local=is_local(settings.auth))
    return app


async def _redis(app: web.Application) -> AsyncIterator[None]:
    """Opens the store and watches it. A Redis that is out does not keep the producer from starting: it is unready."""
    app[STORE] = Store(app[SETTINGS], f"producer-{process_name()}")
    app[WATCH] = RedisWatch(app[STORE])
    watching = asyncio.create_task(app[WATCH].run())
    yield
    await end(watching)
    await app[STORE].close()
