"""Which dead letters a call to the DLQ means, by ids or by filter, and the same act with each of them, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from producer.context import STORE
from producer.qstash.message_filter import FILTER_QUERY, message_filter
from producer.qstash.query import MOST_VALUES, count, cursor, order, refuse_unknown, values
from producer.requests import read_optional_json
from shared.errors import InvalidField, NotFound, TooLate
from shared.ids import parse_id
from shared.settings import WEBHOOK
from shared.store import dead_letters
from shared.store.listing.pages import Page, list_messages
from shared.store.messages import View

LARGEST_PAGE = 100
AT_ONCE = 20
"""Scripts on their way at the same time."""
KIND = "dead letter"
_IDS: dict[str, tuple[dict[str, Any], str]] = {
    "dlqIds": ({"type": "array", "items": {"type": "string"}}, "Just these; the filters are ignored then.")
}
_PAGE: dict[str, tuple[dict[str, Any], str]] = {
    "cursor": ({"type": "string"}, "`cursor` of the page before."),
    "count": ({"type": "integer", "minimum": 1, "default": LARGEST_PAGE}, f"Most of a page; at most {LARGEST_PAGE}."),
    "order": ({"type": "string", "enum": ["earliestFirst", "latestFirst"], "default": "latestFirst"}, "By the time of death."),
}
DLQ_QUERY: dict[str, tuple[dict[str, Any], str]] = {**_IDS, **FILTER_QUERY, **_PAGE}


class DlqIds(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    dlq_ids: tuple[str, ...]


_ids = msgspec.json.Decoder(DlqIds)
_NO_IDS = DlqIds(())


async def asked_ids(request: web.Request) -> tuple[Sequence[str], str]:
    """The ids that are meant, and the cursor of the page that follows.

    Raises ``InvalidField``, also where nothing says which: ``count`` or ``cursor`` alone mean all, a page of them at a time.
    """
    refuse_unknown(request, DLQ_QUERY)
    if request.can_read_body:
        given = (await read_optional_json(request, _ids, _NO_IDS)).dlq_ids
        if len(given) > MOST_VALUES:
            raise InvalidField("dlqIds", f"expected at most {MOST_VALUES} ids", 400)
        return sorted(filter(is_of_webhook, set(given))), ""
    if ids := values(request, "dlqIds"):
        return sorted(filter(is_of_webhook, ids)), ""
    if not message_filter(request).any and not {"count", "cursor"} & set(request.query):
        raise InvalidField("", "expected dlqIds, a filter, or count to mean all of them", 400)
    page = await page_asked(request)
    return [view.id for view in page.views], page.next_cursor or ""


async def page_asked(request: web.Request) -> Page:
    asked, limit, first = message_filter(request), count(request, LARGEST_PAGE), order(request)
    return await list_messages(request.app[STORE], asked.died, limit, cursor(request), order=first, also=asked.fits)


async def those(request: web.Request, ids: frozenset[str]) -> list[View]:
    """Those of them that are dead letters of topic ``webhook``; as many as a page holds."""
    store = request.app[STORE]

    async def one(message_id: str) -> View | None:
        try:
            return await dead_letters.get(store, message_id)
        except NotFound:
            return None

    wanted = sorted(filter(is_of_webhook, ids))[:LARGEST_PAGE]
    return [
        view for start in range(0, len(wanted), AT_ONCE) for view in await _gathered(one, wanted[start : start + AT_ONCE]) if view
    ]


async def _gathered(one: Callable[[str], Awaitable[View | None]], ids: Sequence[str]) -> list[View | None]:
    return list(await asyncio.gather(*map(one, ids)))


async def each(ids: Sequence[str], act: Callable[[str], Awaitable[object]]) -> list[str]:
    """The ids of those with which it was done. What has moved on meanwhile is not among them."""

    async def one(message_id: str) -> bool:
        try:
            await act(message_id)
        except (NotFound, TooLate):
            return False
        return True

    done: list[str] = []
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        results = await asyncio.gather(*map(one, some))
        done += [message_id for message_id, is_done in zip(some, results, strict=True) if is_done]
    return done


def is_of_webhook(message_id: str) -> bool:
    parsed = parse_id(message_id)
    return parsed is not None and parsed.topic == WEBHOOK.name
