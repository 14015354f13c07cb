"""``/v2/dlq``: the dead letters of topic ``webhook``. A ``dlqId`` is the message's own id: it is kept when it is retried."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from producer.answers import json_answer
from producer.context import SETTINGS, STORE
from producer.openapi import describe
from producer.qstash.query import refuse_unknown, values
from producer.qstash.selection import DLQ_QUERY, KIND, DlqIds, asked_ids, each, is_of_webhook, page_asked, those
from producer.qstash.view_schemas import Done, QstashDeadLetter
from producer.qstash.views import dead_letter_out, limits_of
from producer.requests import durability
from shared.errors import NotFound
from shared.store import dead_letters
from shared.store.listing.pages import Page


class DlqPage(Struct, frozen=True, omit_defaults=True):
    messages: tuple[QstashDeadLetter, ...]
    cursor: str = ""
    """Absent on the last page."""


class DlqDeleted(Struct, frozen=True, omit_defaults=True):
    deleted: int
    cursor: str = ""


class DlqRetried(Struct, frozen=True, rename="camel"):
    message_id: str


class DlqRetries(Struct, frozen=True, omit_defaults=True):
    responses: tuple[DlqRetried, ...]
    cursor: str = ""


@describe(
    "DLQ: dead letters of webhooks, the newest first",
    tag="QStash DLQ",
    scope="read",
    query=DLQ_QUERY,
    answers={200: DlqPage},
    problems=(400, 422, 503),
)
async def list_dlq(request: web.Request) -> web.Response:
    refuse_unknown(request, DLQ_QUERY)
    store, ids = request.app[STORE], values(request, "dlqIds")
    page = Page(await those(request, ids), None, 0) if ids else await page_asked(request)
    limits, settings = await limits_of(store, page.views), request.app[SETTINGS]
    letters = tuple(dead_letter_out(view, settings, limits) for view in page.views)
    return json_answer(DlqPage(letters, page.next_cursor or ""))


@describe("DLQ: one dead letter", tag="QStash DLQ", scope="read", answers={200: QstashDeadLetter}, problems=(404, 503))
async def get_from_dlq(request: web.Request) -> web.Response:
    store, view = request.app[STORE], await dead_letters.get(request.app[STORE], _named(request))
    return json_answer(dead_letter_out(view, request.app[SETTINGS], await limits_of(store, [view])))


@describe("DLQ: delete one dead letter for ever", tag="QStash DLQ", scope="admin", answers={200: Done}, problems=(404, 422, 503))
async def delete_from_dlq(request: web.Request) -> web.Response:
    await dead_letters.delete(request.app[STORE], _named(request), durability(request))
    return json_answer(Done())


@describe(
    "DLQ: delete many dead letters for ever, by ids or by filter",
    tag="QStash DLQ",
    scope="admin",
    query=DLQ_QUERY,
    request=DlqIds,
    example={"dlqIds": ["webhook-0-1a2b3c4d5e6f7g8h9i0jk"]},
    optional=True,
    answers={200: DlqDeleted},
    problems=(400, 408, 413, 415, 422, 503),
)
async def delete_many_from_dlq(request: web.Request) -> web.Response:
    safe, store = durability(request), request.app[STORE]
    asked, following = await asked_ids(request)
    done = await each(asked, lambda message_id: dead_letters.delete(store, message_id, safe))
    return json_answer(DlqDeleted(len(done), following))


@describe(
    "DLQ: deliver one dead letter again, with no attempt spent",
    tag="QStash DLQ",
    scope="admin",
    answers={200: DlqRetried},
    problems=(404, 409, 422, 503),
)
async def retry_from_dlq(request: web.Request) -> web.Response:
    message_id = _named(request)
    await dead_letters.replay(request.app[STORE], message_id, 0, durability(request))
    return json_answer(DlqRetried(message_id))


@describe(
    "DLQ: deliver many dead letters again, by ids or by filter, with no attempt spent",
    tag="QStash DLQ",
    scope="admin",
    query=DLQ_QUERY,
    request=DlqIds,
    example={"dlqIds": []},
    optional=True,
    answers={200: DlqRetries},
    problems=(400, 404, 408, 413, 415, 422, 503),
)
async def retry_many_from_dlq(request: web.Request) -> web.Response:
    """Raises ``NotFound`` where ids are given and none of them is in the DLQ: who asks for one expects it to go again."""
    safe, store = durability(request), request.app[STORE]
    by_id = "dlqIds" in request.query or request.can_read_body
    asked, following = await asked_ids(request)
    done = await each(asked, lambda message_id: dead_letters.replay(store, message_id, 0, safe))
    wanted = asked or request.query.getall("dlqIds", [])
    if by_id and wanted and not done:
        raise NotFound(wanted[0], KIND)
    return json_answer(DlqRetries(tuple(DlqRetried(message_id) for message_id in done), following))


def _named(request: web.Request) -> str:
    """Raises ``NotFound``: a dead letter of another topic is none of QStash's."""
    message_id = request.match_info["id"]
    if not is_of_webhook(message_id):
        raise NotFound(message_id, KIND)
    return message_id


ROUTES = (
    web.get("/v2/dlq", list_dlq),
    web.delete("/v2/dlq", delete_many_from_dlq),
    web.post("/v2/dlq/retry", retry_many_from_dlq),
    web.post("/v2/dlq/retry/{id}", retry_from_dlq),
    web.get("/v2/dlq/{id}", get_from_dlq),
    web.delete("/v2/dlq/{id}", delete_from_dlq),
)
