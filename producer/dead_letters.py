"""``/dead-letters``: list, look, replay, delete."""

from __future__ import annotations

import msgspec
from aiohttp import web

from producer.answers import detailed_answer, json_answer, message_answer, message_out
from producer.context import STORE
from producer.drafts import due_from_now, replay_change
from producer.filters import DEAD_LETTER_QUERY, page_asked
from producer.openapi import describe
from producer.requests import durability, read_optional_json, rules
from producer.schemas import DeadLetterDeleted, DeadLetters, MessageOut, ReplayRequest
from shared.store import dead_letters
from shared.store.listing.pages import list_messages

_replay = msgspec.json.Decoder(ReplayRequest)


@describe(
    "Dead letters, the newest first",
    tag="dead letters",
    scope="read",
    query=DEAD_LETTER_QUERY,
    answers={200: DeadLetters},
    problems=(422, 503),
)
async def list_dead_letters(request: web.Request) -> web.Response:
    store = request.app[STORE]
    wanted, order, limit, cursor = page_asked(request, "dead", "newest", rules(request))
    page = await list_messages(store, wanted, limit, cursor, order=order)
    items = tuple(message_out(view) for view in page.views)
    return json_answer(DeadLetters(items=items, total=await dead_letters.count(store), next_cursor=page.next_cursor or ""))


@describe(
    "One dead letter, with its attempts and errors",
    tag="dead letters",
    scope="read",
    answers={200: MessageOut},
    problems=(404, 503),
    tagged=True,
)
async def get_dead_letter(request: web.Request) -> web.Response:
    store = request.app[STORE]
    return await detailed_answer(store, await dead_letters.get(store, request.match_info["id"]))


@describe(
    "Delete a dead letter for ever",
    tag="dead letters",
    scope="admin",
    answers={200: DeadLetterDeleted},
    problems=(404, 422, 503),
    durable=True,
)
async def delete_dead_letter(request: web.Request) -> web.Response:
    message_id = request.match_info["id"]
    reached = await dead_letters.delete(request.app[STORE], message_id, durability(request))
    return json_answer(DeadLetterDeleted(id=message_id, status="deleted", durability=reached))


@describe(
    "Schedule a dead letter again, with no attempt spent",
    tag="dead letters",
    scope="admin",
    request=ReplayRequest,
    example={"delay": "10s"},
    optional=True,
    answers={202: MessageOut},
    problems=(400, 404, 408, 409, 413, 415, 422, 503),
    durable=True,
    tagged=True,
)
async def replay_dead_letter(request: web.Request) -> web.Response:
    asked, against = await read_optional_json(request, _replay, ReplayRequest()), rules(request)
    due_ms, change = due_from_now(asked, against) or 0, replay_change(asked, against)
    view = await dead_letters.replay(request.app[STORE], request.match_info["id"], due_ms, durability(request), change)
    return message_answer(view, 202)
