"""``/dead-letters``: list, replay."""

from __future__ import annotations

import msgspec
from aiohttp import web

from producer.answers import json_answer, message_out
from producer.context import STORE
from producer.drafts import due_from_now
from producer.openapi import describe
from producer.requests import durability, page_limit, read_optional_json, rules
from producer.schemas import DeadLetters, MessageOut, ReplayRequest
from shared.errors import InvalidField
from shared.store import dead_letters

PAGE, LARGEST_PAGE = 50, 500
CURSOR = r"^[0-9]{1,4}\.[0-9]{1,15}\.[\s\S]+$"
_replay = msgspec.json.Decoder(ReplayRequest)


@describe(
    "Dead letters, newest first",
    tag="dead letters",
    scope="read",
    query={
        "limit": (
            {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE},
            "Most letters a page; large ones come fewer at a time.",
        ),
        "cursor": ({"type": "string", "pattern": CURSOR}, "`next_cursor` of the page before."),
        "topic": ({"type": "string"}, "Only of this topic; a page may come short."),
    },
    answers={200: DeadLetters},
    problems=(422, 503),
)
async def list_dead_letters(request: web.Request) -> web.Response:
    limit, cursor = page_limit(request, PAGE, LARGEST_PAGE), request.query.get("cursor")
    unknown = set(request.query) - {"limit", "cursor", "topic"}
    if unknown:
        raise InvalidField(min(unknown), "there is no such parameter; expected limit, cursor or topic")
    page = await dead_letters.list_dead_letters(request.app[STORE], limit, cursor, request.query.get("topic"))
    answer = DeadLetters(
        items=tuple(message_out(view) for view in page.letters), total=page.total, next_cursor=page.next_cursor or ""
    )
    return json_answer(answer)


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
)
async def replay_dead_letter(request: web.Request) -> web.Response:
    asked, against = await read_optional_json(request, _replay, ReplayRequest()), rules(request)
    due_ms = due_from_now(asked, against) or 0
    view = await dead_letters.replay(request.app[STORE], request.match_info["id"], due_ms, durability(request))
    return json_answer(message_out(view), 202)
