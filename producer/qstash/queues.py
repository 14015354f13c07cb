"""``/v2/queues``: a queue ``q`` is the flow key ``queue:q`` of topic ``webhook``, and its parallelism the key's concurrency.

It is there while it has a limit, is paused, or has messages that are due. Nothing else of it is kept, not even when it was made.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from producer.answers import json_answer
from producer.context import STORE
from producer.openapi import describe
from producer.qstash.names import checked
from producer.qstash.view_schemas import Done
from producer.requests import read_json
from shared.errors import NotFound
from shared.settings import WEBHOOK
from shared.store import flow
from shared.store.flow import QUEUE_PREFIX, FlowKey, Limit

KIND = "queue"
MOST_QUEUES = 1_000
"""Of a list, which has no pages."""
AT_ONCE = 100
USUAL_PARALLELISM = 1
PERIOD_MS = 1_000
"""Of a rate that a queue does not have."""


class QueueIn(Struct, frozen=True, rename="camel"):
    queue_name: str
    parallelism: Annotated[int, Meta(ge=1, le=1_000_000)] = USUAL_PARALLELISM
    paused: bool = False


class QueueOut(Struct, frozen=True, rename="camel"):
    name: str
    parallelism: int
    """0 where it has no limit."""
    created_at: int
    """Always 0: it is not kept."""
    updated_at: int
    """The same."""
    lag: int
    """Messages that are due and not over, those that are delivered right now among them."""
    paused: bool


_queue = msgspec.json.Decoder(QueueIn)


@describe("Queues", tag="QStash queues", scope="read", answers={200: tuple[QueueOut, ...]}, problems=(503,))
async def list_queues(request: web.Request) -> web.Response:
    store, found, after = request.app[STORE], list[FlowKey](), QUEUE_PREFIX
    while len(found) < MOST_QUEUES:
        page = await flow.flow_keys(store, WEBHOOK.name, after, AT_ONCE)
        queues = [one for one in page if one.flow_key.startswith(QUEUE_PREFIX)]
        found += queues
        if len(queues) < AT_ONCE:
            break
        after = queues[-1].flow_key
    return json_answer([_out(one) for one in found[:MOST_QUEUES]])


@describe("One queue", tag="QStash queues", scope="read", answers={200: QueueOut}, problems=(400, 404, 503))
async def get_queue(request: web.Request) -> web.Response:
    return json_answer(_out(await _found(request)))


@describe(
    "Make a queue, or change it",
    tag="QStash queues",
    scope="admin",
    request=QueueIn,
    example={"queueName": "mail", "parallelism": 2},
    answers={200: Done},
    problems=(400, 408, 413, 415, 422, 503),
)
async def upsert_queue(request: web.Request) -> web.Response:
    asked = await read_json(request, _queue)
    store, flow_key = request.app[STORE], QUEUE_PREFIX + checked(asked.queue_name, "queueName")
    await flow.set_limit(store, WEBHOOK.name, flow_key, Limit(0, PERIOD_MS, asked.parallelism))
    await flow.pause(store, WEBHOOK.name, flow_key, paused=asked.paused)
    return json_answer(Done())


@describe(
    "Delete a queue. Messages that are in it stay, and go on one after the other",
    tag="QStash queues",
    scope="admin",
    answers={200: Done},
    problems=(400, 404, 503),
)
async def delete_queue(request: web.Request) -> web.Response:
    """What still waits keeps a limit, which it would else run without; the queue is gone with a repeat, or was never in use."""
    store, found = request.app[STORE], await _found(request)
    limit = Limit(0, PERIOD_MS, USUAL_PARALLELISM) if _lag(found) else None
    await flow.set_limit(store, WEBHOOK.name, found.flow_key, limit)
    await flow.pause(store, WEBHOOK.name, found.flow_key, paused=False)
    return json_answer(Done())


@describe(
    "Pause a queue: nothing more of it is delivered, and messages are accepted. It is made where it is not there",
    tag="QStash queues",
    scope="admin",
    answers={200: Done},
    problems=(400, 503),
)
async def pause_queue(request: web.Request) -> web.Response:
    store, flow_key = request.app[STORE], _named(request)
    await flow.ensure_limit(store, WEBHOOK.name, flow_key, Limit(0, PERIOD_MS, USUAL_PARALLELISM))
    await flow.pause(store, WEBHOOK.name, flow_key, paused=True)
    return json_answer(Done())


@describe("Resume a queue", tag="QStash queues", scope="admin", answers={200: Done}, problems=(400, 503))
async def resume_queue(request: web.Request) -> web.Response:
    await flow.pause(request.app[STORE], WEBHOOK.name, _named(request), paused=False)
    return json_answer(Done())


def _named(request: web.Request) -> str:
    """The flow key."""
    return QUEUE_PREFIX + checked(request.match_info["queue"], "queueName")


async def _found(request: web.Request) -> FlowKey:
    found = await flow.get(request.app[STORE], WEBHOOK.name, _named(request))
    if not found.own and not found.paused and not _lag(found):
        raise NotFound(found.flow_key.removeprefix(QUEUE_PREFIX), KIND)
    return found


def _lag(found: FlowKey) -> int:
    return found.waiting + found.held


def _out(found: FlowKey) -> QueueOut:
    name = found.flow_key.removeprefix(QUEUE_PREFIX)
    return QueueOut(name, found.concurrency, created_at=0, updated_at=0, lag=_lag(found), paused=found.paused)


ROUTES = (
    web.get("/v2/queues", list_queues),
    web.post("/v2/queues", upsert_queue),
    web.get("/v2/queues/{queue}", get_queue),
    web.delete("/v2/queues/{queue}", delete_queue),
    web.post("/v2/queues/{queue}/pause", pause_queue),
    web.post("/v2/queues/{queue}/resume", resume_queue),
)
