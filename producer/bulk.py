"""Many at once by filter: cancel, deliver now, replay, delete. A request looks at a bounded number; the next one goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from msgspec import UNSET

from producer.answers import json_answer
from producer.context import STORE
from producer.drafts import due_from_now, replay_change
from producer.filters import filter_asked
from producer.openapi import describe
from producer.requests import durability, read_json, rules
from producer.schemas import Bulk, BulkCancel, BulkDelete, BulkDeliver, BulkOut, BulkReplay, ReplayRequest
from shared.errors import NotFound, TooLate
from shared.store import dead_letters, messages
from shared.store.listing.filter import Filter
from shared.store.listing.pages import MOST_LOOKED_AT, list_messages
from shared.store.messages import View

AT_ONCE = 20
"""Scripts on their way at the same time."""
_cancel = msgspec.json.Decoder(BulkCancel)
_deliver = msgspec.json.Decoder(BulkDeliver)
_replay = msgspec.json.Decoder(BulkReplay)
_delete = msgspec.json.Decoder(BulkDelete)
_PROBLEMS = (400, 408, 413, 415, 422, 503)


@describe(
    "Cancel many messages by filter",
    tag="messages",
    scope="admin",
    request=BulkCancel,
    example={"filter": {"topic": "echo", "due_from": "2035-01-01T00:00:00Z"}, "dry_run": True},
    answers={200: BulkOut},
    problems=_PROBLEMS,
    durable=True,
)
async def cancel_many(request: web.Request) -> web.Response:
    asked = await read_json(request, _cancel)
    safe, store = durability(request), request.app[STORE]
    wanted = filter_asked(asked.filter, asked.state, rules(request))
    return await _many(request, asked, wanted, lambda view: messages.cancel(store, view.id, safe))


@describe(
    "Deliver many waiting messages now, by filter",
    tag="messages",
    scope="admin",
    request=BulkDeliver,
    example={"filter": {"topic": "echo", "due_from": "2035-01-01T00:00:00Z"}, "dry_run": True},
    answers={200: BulkOut},
    problems=_PROBLEMS,
    durable=True,
)
async def deliver_many(request: web.Request) -> web.Response:
    asked = await read_json(request, _deliver)
    safe, store = durability(request), request.app[STORE]
    wanted = filter_asked(asked.filter, asked.state, rules(request))
    return await _many(request, asked, wanted, lambda view: messages.deliver_now(store, view.id, safe))


@describe(
    "Schedule many dead letters again, by filter, with no attempt spent",
    tag="dead letters",
    scope="admin",
    request=BulkReplay,
    example={"filter": {"error": "timeout"}, "change": {"delay": "10s"}, "dry_run": True},
    answers={200: BulkOut},
    problems=_PROBLEMS,
    durable=True,
)
async def replay_many(request: web.Request) -> web.Response:
    asked, against = await read_json(request, _replay), rules(request)
    change = ReplayRequest() if asked.change is UNSET else asked.change
    due_ms, other = due_from_now(change, against) or 0, replay_change(change, against)
    safe, store = durability(request), request.app[STORE]
    wanted = filter_asked(asked.filter, "dead", against)
    return await _many(request, asked, wanted, lambda view: dead_letters.replay(store, view.id, due_ms, safe, other))


@describe(
    "Delete many dead letters for ever, by filter",
    tag="dead letters",
    scope="admin",
    request=BulkDelete,
    example={"filter": {"died_until": "2030-01-01T00:00:00Z"}, "dry_run": True},
    answers={200: BulkOut},
    problems=_PROBLEMS,
    durable=True,
)
async def delete_many(request: web.Request) -> web.Response:
    asked = await read_json(request, _delete)
    safe, store = durability(request), request.app[STORE]
    wanted = filter_asked(asked.filter, "dead", rules(request))
    return await _many(request, asked, wanted, lambda view: dead_letters.delete(store, view.id, safe))


async def _many(request: web.Request, asked: Bulk, wanted: Filter, act: Callable[[View], Awaitable[object]]) -> web.Response:
    """Acts on one page of them. What has moved on meanwhile is not affected, and not counted."""
    cursor = None if asked.cursor is UNSET else asked.cursor
    page = await list_messages(request.app[STORE], wanted, MOST_LOOKED_AT, cursor)
    affected = len(page.views)
    if not asked.dry_run:
        affected = 0
        for start in range(0, len(page.views), AT_ONCE):
            results = await asyncio.gather(*(_one(act, view) for view in page.views[start : start + AT_ONCE]))
            affected += sum(results)
    return json_answer(BulkOut(affected=affected, dry_run=asked.dry_run, next_cursor=page.next_cursor or ""))


async def _one(act: Callable[[View], Awaitable[object]], view: View) -> bool:
    try:
        await act(view)
    except (NotFound, TooLate):
        return False
    return True
