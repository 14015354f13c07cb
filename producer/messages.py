"""``/messages``: schedule, look, change, cancel, deliver now."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET

from producer.answers import detailed_answer, json_answer, local_out, message_answer, message_out
from producer.context import SETTINGS, STORE
from producer.drafts import body_of, due_from_now, message_draft
from producer.filters import MESSAGE_QUERY, page_asked
from producer.limits import count_messages
from producer.openapi import describe
from producer.requests import JSON_TYPES, durability, idempotency_key, if_match, read_json, read_lines, rules
from producer.schemas import Accepted, BatchAccepted, Cancelled, MessageChange, MessageOut, Messages, NewMessage
from shared.errors import InvalidField
from shared.record import Options, Record
from shared.store import messages
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.listing.filter import STATES
from shared.store.listing.pages import list_messages
from shared.times import format_ms

_new = msgspec.json.Decoder(NewMessage)
_batch = msgspec.json.Decoder(list[NewMessage])
_change = msgspec.json.Decoder(MessageChange)


@describe(
    "Schedule a message",
    tag="messages",
    scope="schedule",
    request=NewMessage,
    example={"topic": "echo", "body": "hello", "delay": "10s"},
    answers={202: Accepted},
    problems=(400, 408, 409, 413, 415, 422, 503),
    idempotent=True,
    durable=True,
)
async def post_message(request: web.Request) -> web.Response:
    asked = await read_json(request, _new)
    draft = message_draft(asked, rules(request))
    accepted = await schedule(request.app[STORE], [draft], idempotency_key(request), durability(request))
    due_ms = accepted.due_ms[0]
    answer = Accepted(
        id=accepted.ids[0],
        topic=asked.topic,
        status="scheduled",
        deliver_at=format_ms(due_ms),
        deliver_at_local=local_out(asked, due_ms),
        expires_at=UNSET if draft.expires_after_ms is None else format_ms(due_ms + draft.expires_after_ms),
        durability=accepted.durability,
        deduplicated=accepted.deduplicated,
    )
    return json_answer(answer, 202, {"Location": f"/messages/{answer.id}"})


@describe(
    "Schedule many messages: all of them, or none where one is wrong",
    tag="messages",
    scope="schedule",
    request=Annotated[list[NewMessage], msgspec.Meta(min_length=1)],
    example=[{"topic": "echo", "body": "one", "delay": "10s"}, {"topic": "echo", "body": "two", "delay": "1h30m"}],
    lines=True,
    answers={202: BatchAccepted},
    problems=(400, 408, 409, 413, 415, 422, 503),
    idempotent=True,
    durable=True,
)
async def post_batch(request: web.Request) -> web.Response:
    if request.content_type in JSON_TYPES:
        asked = await read_json(request, _batch)
    else:
        asked = await read_lines(request, _new)
    limit = request.app[SETTINGS].producer.max_batch
    if len(asked) > limit:
        raise InvalidField("", f"expected at most {limit} messages (Producer.MaxBatch); got {len(asked)}", status=413)
    if not asked:
        raise InvalidField("", "expected at least one message")
    await count_messages(request, len(asked))
    accepted = await schedule(request.app[STORE], _drafts(request, asked), idempotency_key(request), durability(request))
    answer = BatchAccepted(
        count=len(accepted.ids),
        ids=tuple(accepted.ids),
        durability=accepted.durability,
        deduplicated=accepted.deduplicated,
    )
    return json_answer(answer, 202)


def _drafts(request: web.Request, asked: list[NewMessage]) -> list[Draft]:
    against, drafts = rules(request), []
    for number, one in enumerate(asked):
        try:
            drafts.append(message_draft(one, against))
        except InvalidField as error:
            raise error.inside(f"[{number}]") from None
    return drafts


@describe(
    "Messages of a state, in the order of their times. Where few fit, a page comes short, or empty, and has a cursor",
    tag="messages",
    scope="read",
    query={
        "state": ({"type": "string", "enum": list(STATES), "default": "waiting"}, "`waiting`: both scheduled and retrying."),
        **MESSAGE_QUERY,
    },
    answers={200: Messages},
    problems=(422, 503),
)
async def list_some(request: web.Request) -> web.Response:
    wanted, order, limit, cursor = page_asked(request, "waiting", "oldest", rules(request))
    page = await list_messages(request.app[STORE], wanted, limit, cursor, order=order)
    return json_answer(Messages(items=tuple(message_out(view) for view in page.views), next_cursor=page.next_cursor or ""))


@describe(
    "One message: where it is and how it got there",
    tag="messages",
    scope="read",
    answers={200: MessageOut},
    problems=(404, 503),
    tagged=True,
)
async def get_message(request: web.Request) -> web.Response:
    store = request.app[STORE]
    return await detailed_answer(store, await messages.get(store, request.match_info["id"]))


@describe(
    "Change the time, the body or the priority of a message that is still waiting",
    tag="messages",
    scope="schedule",
    request=MessageChange,
    example={"delay": "1h", "body": "hello again"},
    answers={200: MessageOut},
    problems=(400, 404, 408, 409, 413, 415, 422, 503),
    durable=True,
    tagged=True,
    conditional=True,
)
async def patch_message(request: web.Request) -> web.Response:
    asked, against, store = await read_json(request, _change), rules(request), request.app[STORE]
    due_ms = due_from_now(asked, against)
    body = body_of(asked.body, asked.body_base64, asked.content_type, against)
    if body is None and asked.content_type is not UNSET:
        raise InvalidField("content_type", "expected a body beside it")
    priority = None if asked.priority is UNSET else asked.priority
    if body is None and priority is None and due_ms is None:
        raise InvalidField("", "expected at least one of deliver_at, delay, deliver_at_local, body, body_base64 and priority")
    record = Record("", 0, body.kind, body.bytes, Options(content_type=body.content_type)) if body else None
    view = await messages.change(
        store, request.match_info["id"], due_ms=due_ms, body=record, priority=priority,
        asked=durability(request), tags=if_match(request),
    )  # fmt: skip
    return message_answer(view)


@describe(
    "Cancel a message: with a 200 it will not be delivered",
    tag="messages",
    scope="schedule",
    answers={200: Cancelled},
    problems=(404, 409, 422, 503),
    durable=True,
    conditional=True,
)
async def delete_message(request: web.Request) -> web.Response:
    message_id = request.match_info["id"]
    reached = await messages.cancel(request.app[STORE], message_id, durability(request), if_match(request))
    return json_answer(Cancelled(id=message_id, status="cancelled", durability=reached))


@describe(
    "Deliver a waiting message now",
    tag="messages",
    scope="schedule",
    answers={202: MessageOut},
    problems=(404, 409, 422, 503),
    durable=True,
    tagged=True,
    conditional=True,
)
async def deliver_message(request: web.Request) -> web.Response:
    view = await messages.deliver_now(request.app[STORE], request.match_info["id"], durability(request), if_match(request))
    return message_answer(view, 202)
