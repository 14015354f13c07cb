"""``/v2/messages``: one message that is not over, and cancelling one or many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from aiohttp import web
from msgspec import Struct

from producer.answers import json_answer
from producer.context import SETTINGS, STORE
from producer.middleware import RETRY_AFTER_S
from producer.openapi import describe
from producer.qstash.message_filter import FILTER_QUERY, MessageFilter, message_filter
from producer.qstash.query import MOST_VALUES, refuse_unknown, values
from producer.qstash.selection import is_of_webhook
from producer.qstash.view_schemas import QstashMessage
from producer.qstash.views import limits_of, message_out
from producer.refusal import Refusal
from producer.requests import durability, read_optional_json
from shared.errors import InvalidField, NotFound, TooLate
from shared.store import messages
from shared.store.listing.filter import State
from shared.store.listing.pages import MOST_LOOKED_AT, list_messages
from shared.store.messages import View
from shared.store.partition import Store

AT_ONCE = 20
"""Scripts on their way at the same time."""
MOST_PAGES = 1_000
"""Of one call: a page looks at a thousand messages."""
STATES: tuple[State, ...] = ("waiting", "ready")
"""Of what can be cancelled."""
KIND = "message"
_IDS = {"messageIds": ({"type": "array", "items": {"type": "string"}}, "Just these; the filters are ignored then.")}
_IGNORED = {name: ({"type": "string"}, "Is ignored: all that fit are cancelled in one call.") for name in ("count", "cursor")}
_QUERY = {**_IDS, **{name: one for name, one in FILTER_QUERY.items() if name != "responseStatus"}, **_IGNORED}


class MessageIds(Struct, frozen=True, rename="camel"):
    message_ids: tuple[str, ...]


class WebhooksCancelled(Struct, frozen=True):
    cancelled: int


class WebhookCancelled(Struct, frozen=True, rename="camel"):
    message_id: str
    cancelled: int = 1


_ids = msgspec.json.Decoder(MessageIds)
_NO_IDS = MessageIds(())


@describe("One message that is not over", tag="QStash messages", scope="read", answers={200: QstashMessage}, problems=(404, 503))
async def get_webhook(request: web.Request) -> web.Response:
    store, message_id = request.app[STORE], _id(request)
    view = await _living(store, message_id)
    return json_answer(message_out(view, request.app[SETTINGS], await limits_of(store, [view])))


@describe(
    "Cancel a message that no worker has",
    tag="QStash messages",
    scope="schedule",
    answers={202: WebhookCancelled},
    problems=(404, 409, 503),
)
async def cancel_webhook(request: web.Request) -> web.Response:
    """Raises ``NotFound`` of one that is over, also where it was cancelled before; ``TooLate`` of one that is delivered now."""
    store, message_id, safe = request.app[STORE], _id(request), durability(request)
    await _living(store, message_id)
    try:
        await messages.cancel(store, message_id, safe)
    except TooLate:
        await _living(store, message_id)
        raise
    return json_answer(WebhookCancelled(message_id), 202)


async def _living(store: Store, message_id: str) -> View:
    view = await messages.get(store, message_id)
    if not view.lives:
        raise NotFound(message_id, KIND)
    return view


@describe(
    "Cancel many messages: those of the ids, or all that fit the filters; without any, all",
    tag="QStash messages",
    scope="admin",
    query=_QUERY,
    request=MessageIds,
    example={"messageIds": []},
    optional=True,
    answers={202: WebhooksCancelled},
    problems=(400, 408, 413, 415, 422, 503),
)
async def cancel_webhooks(request: web.Request) -> web.Response:
    refuse_unknown(request, _QUERY)
    given = (await read_optional_json(request, _ids, _NO_IDS)).message_ids if request.can_read_body else None
    ids = frozenset(given) if given is not None else values(request, "messageIds") or None
    if ids is not None and len(ids) > MOST_VALUES:
        raise InvalidField("messageIds", f"expected at most {MOST_VALUES} ids", 400)
    if ids is not None:
        return json_answer(WebhooksCancelled(await _cancel(request, sorted(filter(is_of_webhook, ids)))), 202)
    asked = message_filter(request)
    return json_answer(WebhooksCancelled(sum([await _cancel_all(request, asked, state) for state in STATES])), 202)


async def _cancel_all(request: web.Request, asked: MessageFilter, state: State) -> int:
    """Raises ``Refusal`` where they are too many for one call: who is told a number takes it for all."""
    cursor, cancelled, store = None, 0, request.app[STORE]
    for _ in range(MOST_PAGES):
        page = await list_messages(store, asked.in_state(state), MOST_LOOKED_AT, cursor, also=asked.fits)
        cancelled += await _cancel(request, [view.id for view in page.views])
        cursor = page.next_cursor
        if cursor is None:
            return cancelled
    raise Refusal(503, f"{cancelled} were cancelled, and there are more; a repeat goes on", {"Retry-After": str(RETRY_AFTER_S)})


async def _cancel(request: web.Request, ids: Sequence[str]) -> int:
    """How many were. One that was cancelled before is none of them, though the store would say the same again."""
    store, safe = request.app[STORE], durability(request)

    async def one(message_id: str) -> bool:
        try:
            await _living(store, message_id)
            await messages.cancel(store, message_id, safe)
        except (NotFound, TooLate):
            return False
        return True

    return sum([sum(await asyncio.gather(*map(one, ids[start : start + AT_ONCE]))) for start in range(0, len(ids), AT_ONCE)])


def _id(request: web.Request) -> str:
    message_id = request.match_info["id"]
    if not is_of_webhook(message_id):
        raise NotFound(message_id, KIND)
    return message_id


ROUTES = (
    web.delete("/v2/messages", cancel_webhooks),
    web.get("/v2/messages/{id}", get_webhook),
    web.delete("/v2/messages/{id}", cancel_webhook),
)
