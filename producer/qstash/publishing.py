"""``/v2/publish``, ``/v2/enqueue``, ``/v2/batch``: messages of topic ``webhook``, stored by the calls that store all others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from msgspec import Struct

from producer.answers import json_answer
from producer.context import SETTINGS, STORE, TARGETS
from producer.drafts import Rules
from producer.limits import count_messages
from producer.load import read_body
from producer.openapi import describe
from producer.qstash.destinations import Destination, destination_of, path_rest, targets
from producer.qstash.drafts import Target, check_urls, deduplication_name, draft_of
from producer.qstash.names import checked
from producer.qstash.options import Asked, options_of
from producer.requests import durability, read_json, rules
from shared.errors import InvalidField
from shared.settings import WEBHOOK
from shared.store import flow
from shared.store.accept import schedule, schedule_once
from shared.store.chunks import Draft
from shared.store.flow import Limit

DEDUPLICATION_MS = 600_000
"""How long a deduplication id is remembered, as with QStash: who repeats it every hour means a new message each time."""
USUAL_QUEUE = Limit(0, 1_000, 1)
"""Of a queue that nobody has made: one after the other."""
_TEXT: dict[str, Any] = {"type": "string"}
OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "Upstash-Delay": (_TEXT, "`10s`, `1d2h`."),
    "Upstash-Not-Before": (_TEXT, "A Unix time in seconds."),
    "Upstash-Method": (_TEXT, "POST without it."),
    "Upstash-Retries": (_TEXT, "3 without it."),
    "Upstash-Retry-Delay": (_TEXT, "An expression in milliseconds, such as `1000 * (1 + retried)`."),
    "Upstash-Timeout": (_TEXT, "How long a request may take: `30s`."),
    "Upstash-Callback": (_TEXT, "A URL that is told of each attempt; `Upstash-Callback-*` are its own options."),
    "Upstash-Failure-Callback": (_TEXT, "A URL that is told when it became a dead letter."),
    "Upstash-Deduplication-Id": (_TEXT, "A second one with it is not stored."),
    "Upstash-Content-Based-Deduplication": (_TEXT, "`true`: a second one with the same content is not stored."),
    "Upstash-Label": (_TEXT, "Labels, with commas between."),
    "Upstash-Flow-Control-Key": (_TEXT, "Messages with the same key share a limit."),
    "Upstash-Flow-Control-Value": (_TEXT, "`parallelism=5, rate=10, period=1m`."),
    "Upstash-Redact-Fields": (_TEXT, "What logs do not show: `body, header[Authorization]`."),
}
"""Query parameters of the same names are options as well; ``Upstash-Forward-*`` headers are sent on."""


class Published(Struct, frozen=True, omit_defaults=True, rename="camel"):
    message_id: str
    deduplicated: bool = False
    url: str = ""
    """Of an endpoint of a URL group."""


class BatchItem(Struct, frozen=True):
    destination: str
    headers: dict[str, str] = {}
    body: str | None = None
    queue: str | None = None


class Message(NamedTuple):
    target: Target
    draft: Draft
    name: str | None
    """Under which a second one is not stored."""


class Send(NamedTuple):
    """One element of a call, checked, and what is to be stored of it."""

    destination: Destination
    asked: Asked
    messages: list[Message]


_batch = msgspec.json.Decoder(tuple[BatchItem, ...])
_PROBLEMS = (400, 404, 408, 413, 415, 422, 503)


@describe(
    "Publish a message to a URL or to a URL group",
    tag="QStash messages",
    scope="schedule",
    raw=True,
    headers=OPTIONS,
    answers={201: Published | tuple[Published, ...], 202: Published},
    problems=_PROBLEMS,
)
async def publish(request: web.Request) -> web.Response:
    return await _send_one(request, path_rest(request, 2), None)


@describe(
    "Put a message to a URL or to a URL group in a queue",
    tag="QStash messages",
    scope="schedule",
    raw=True,
    headers=OPTIONS,
    answers={201: Published | tuple[Published, ...], 202: Published},
    problems=_PROBLEMS,
)
async def enqueue(request: web.Request) -> web.Response:
    queue = checked(request.match_info["queue"], "queue")
    return await _send_one(request, path_rest(request, 3), queue)


@describe(
    "Publish and enqueue many messages: none where one is wrong",
    tag="QStash messages",
    scope="schedule",
    request=tuple[BatchItem, ...],
    example=[{"destination": "https://example.com/hook", "headers": {"Upstash-Delay": "1h"}, "body": "hello"}],
    answers={200: tuple[Published | tuple[Published, ...], ...]},
    problems=_PROBLEMS,
)
async def batch(request: web.Request) -> web.Response:
    items, against = await read_json(request, _batch), rules(request)
    if not items:
        raise InvalidField("", "expected at least one message", 400)
    _check_count(request, len(items))
    sends, count = list[Send](), 0
    for number, item in enumerate(items):
        try:
            asked = options_of(item.headers.items())
            queue = None if item.queue is None else checked(item.queue, "queue")
            sends.append(
                await _send(request, destination_of(item.destination), asked, (item.body or "").encode(), queue, against)
            )
        except InvalidField as error:
            raise error.inside(f"[{number}]") from None
        count += len(sends[-1].messages)
        _check_count(request, count)
    return json_answer(await _stored(request, sends))


def _check_count(request: web.Request, count: int) -> None:
    """A URL group makes many messages of one."""
    limit = request.app[SETTINGS].producer.max_batch
    if count > limit:
        raise InvalidField("", f"expected at most {limit} messages (Producer.MaxBatch)", status=413)


async def _send_one(request: web.Request, rest: str, queue: str | None) -> web.Response:
    asked = options_of(request.headers.items(), request.query.items())
    destination = destination_of(rest, request.rel_url.raw_query_string)
    send = await _send(request, destination, asked, await read_body(request), queue, rules(request))
    (answer,) = await _stored(request, [send])
    first = answer if isinstance(answer, Published) else None
    location = f"/v2/messages/{first.message_id}" if first else f"/v2/topics/{destination.group}"
    return json_answer(answer, 202 if first and first.deduplicated else 201, {"Location": location})


async def _send(
    request: web.Request, destination: Destination, asked: Asked, body: bytes, queue: str | None, against: Rules
) -> Send:
    """Raises ``InvalidField``, ``NotFound``."""
    if asked.cron is not None:
        raise InvalidField("Upstash-Cron", "expected none here: POST /v2/schedules/{destination} makes a schedule", 400)
    check_urls(asked, destination.url, request.app[TARGETS])
    queue = queue or asked.queue
    if queue is not None and asked.flow_key is not None:
        raise InvalidField("Upstash-Flow-Control-Key", "expected none beside a queue: a queue has its parallelism", 400)
    found = await targets(request, destination)
    messages = [
        Message(target, draft_of(asked, target, body, queue, request.remote, against), deduplication_name(asked, target, body))
        for target in found
    ]
    return Send(destination, asked, messages)


async def _stored(request: web.Request, sends: Sequence[Send]) -> list[Published | list[Published]]:
    """In the order of the call."""
    messages = [one for send in sends for one in send.messages]
    await count_messages(request, len(messages))
    await _limits(request, sends)
    published = iter(await _published(request, messages))
    answers: list[Published | list[Published]] = []
    for send in sends:
        found = [next(published) for _ in send.messages]
        answers.append(found if send.destination.group is not None else found[0])
    return answers


async def _published(request: web.Request, messages: Sequence[Message]) -> list[Published]:
    """What follows each other without names goes together; all of it, where none has one."""
    store, safe, found = request.app[STORE], durability(request), list[Published]()
    for is_named, group in groupby(messages, lambda one: one.name is not None):
        some = list(group)
        if is_named:
            for one in some:
                first = await schedule_once(store, one.draft, one.name or "", DEDUPLICATION_MS, safe)
                found.append(Published(first.ids[0], first.deduplicated, _endpoint_url(one.target)))
        else:
            ids = (await schedule(store, [one.draft for one in some], None, safe)).ids
            found += [Published(made, url=_endpoint_url(one.target)) for made, one in zip(ids, some, strict=True)]
    return found


def _endpoint_url(target: Target) -> str:
    return target.url if target.group is not None else ""


async def _limits(request: web.Request, sends: Sequence[Send]) -> None:
    """A queue has its limit before its first message, and a flow key what the messages say of it, unless it is pinned."""
    store = request.app[STORE]
    queues = {draft.options.flow_key for send in sends for _, draft, _ in send.messages if draft.options.ordered}
    offers: Mapping[str, Limit] = {one.asked.flow_key: one.asked.limit for one in sends if one.asked.flow_key and one.asked.limit}
    await asyncio.gather(
        *(flow.ensure_limit(store, WEBHOOK.name, key, USUAL_QUEUE) for key in queues if key is not None),
        *(flow.offer_limit(store, WEBHOOK.name, key, limit) for key, limit in offers.items()),
    )


ROUTES = (
    web.post("/v2/publish/{destination:.+}", publish),
    web.post("/v2/enqueue/{queue}/{destination:.+}", enqueue),
    web.post("/v2/batch", batch),
)
