"""``/v2/flowControl`` and ``/v2/globalParallelism``: the flow keys of topic ``webhook``, but for those that are queues.

A rate here holds in any time of its period, not from one period to the next: what is called the start of the period is as long
ago as the period is.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from msgspec import Struct

from producer.answers import json_answer
from producer.context import SETTINGS, STORE
from producer.openapi import describe
from producer.qstash.options import LARGEST_PARALLELISM, LARGEST_RATE
from producer.qstash.query import refuse_unknown, switch, whole
from producer.qstash.view_schemas import Done
from producer.schemas import FLOW_KEY_TEXT
from shared.errors import InvalidField, NotFound
from shared.settings import WEBHOOK
from shared.store import flow, topics
from shared.store.flow import QUEUE_PREFIX, FlowKey

KIND = "flow control key"
MOST_KEYS = 1_000
"""Of a list, which has no pages."""
AT_ONCE = 100
PAST_QUEUES = f"{QUEUE_PREFIX}\x7f"
"""After all queues in the order of bytes."""
LONGEST_PERIOD_S = 86_400
_KEY = re.compile(FLOW_KEY_TEXT)
_PIN: dict[str, tuple[dict[str, Any], str]] = {
    "parallelism": ({"type": "integer", "minimum": 1, "maximum": LARGEST_PARALLELISM}, "Deliveries at once."),
    "rate": ({"type": "integer", "minimum": 1, "maximum": LARGEST_RATE}, "Messages in a period."),
    "period": ({"type": "integer", "minimum": 1, "maximum": LONGEST_PERIOD_S, "default": 1}, "Seconds; only beside `rate`."),
}
_UNPIN: dict[str, tuple[dict[str, Any], str]] = {
    "parallelism": ({"type": "boolean", "default": False}, "Whether its parallelism is to follow what messages say again."),
    "rate": ({"type": "boolean", "default": False}, "Whether its rate is to follow what messages say again."),
}


class FlowControlOut(Struct, frozen=True, rename="camel"):
    flow_control_key: str
    wait_list_size: int
    """Due messages that wait for a place."""
    parallelism_max: int
    """0 where there is no limit."""
    parallelism_count: int
    rate_max: int
    """0 where there is no limit."""
    rate_count: int
    """Let through within the last period."""
    rate_period: int
    """Seconds."""
    rate_period_start: int
    """Seconds since the epoch."""
    is_paused: bool
    is_pinned_parallelism: bool
    is_pinned_rate: bool


class GlobalParallelism(Struct, frozen=True, rename="camel"):
    parallelism_max: int
    """The topic's limit, or else what all workers that are there can do."""
    parallelism_count: int


@describe(
    "Flow control: all keys", tag="QStash flow control", scope="read", answers={200: tuple[FlowControlOut, ...]}, problems=(503,)
)
async def list_flow_control(request: web.Request) -> web.Response:
    store, found, after = request.app[STORE], list[FlowKey](), ""
    while len(found) < MOST_KEYS:
        page = await flow.flow_keys(store, WEBHOOK.name, after, AT_ONCE)
        found += [one for one in page if not one.flow_key.startswith(QUEUE_PREFIX)]
        if len(page) < AT_ONCE:
            break
        last = page[-1].flow_key
        after = PAST_QUEUES if last.startswith(QUEUE_PREFIX) else last
    return json_answer([_out(request, one) for one in found[:MOST_KEYS]])


@describe("Flow control: one key", tag="QStash flow control", scope="read", answers={200: FlowControlOut}, problems=(404, 503))
async def get_flow_control(request: web.Request) -> web.Response:
    found = await flow.get(request.app[STORE], WEBHOOK.name, _named(request))
    if not (found.own or found.paused or found.held or found.waiting):
        raise NotFound(found.flow_key, KIND)
    return json_answer(_out(request, found))


@describe(
    "Flow control: how much is delivered at once",
    tag="QStash flow control",
    scope="read",
    answers={200: GlobalParallelism},
    problems=(503,),
)
async def get_global_parallelism(request: web.Request) -> web.Response:
    settings, view = request.app[SETTINGS], await topics.view(request.app[STORE], WEBHOOK.name)
    running, workers = (view.depth.running, len(view.consumers)) if view else (0, 0)
    limit = settings.all_topics().get(WEBHOOK.name, WEBHOOK).limit.concurrency
    return json_answer(GlobalParallelism(limit or settings.webhooks.concurrency * max(1, workers), running))


@describe("Flow control: pause a key", tag="QStash flow control", scope="admin", answers={200: Done}, problems=(404, 503))
async def pause_flow_control(request: web.Request) -> web.Response:
    await flow.pause(request.app[STORE], WEBHOOK.name, _named(request), paused=True)
    return json_answer(Done())


@describe("Flow control: resume a key", tag="QStash flow control", scope="admin", answers={200: Done}, problems=(404, 503))
async def resume_flow_control(request: web.Request) -> web.Response:
    await flow.pause(request.app[STORE], WEBHOOK.name, _named(request), paused=False)
    return json_answer(Done())


@describe(
    "Flow control: pin the limits of a key, whatever messages say",
    tag="QStash flow control",
    scope="admin",
    query=_PIN,
    answers={200: Done},
    problems=(400, 404, 503),
)
async def pin_flow_control(request: web.Request) -> web.Response:
    refuse_unknown(request, _PIN)
    parallelism = whole(request, "parallelism", 1, LARGEST_PARALLELISM)
    rate, period_s = whole(request, "rate", 1, LARGEST_RATE), whole(request, "period", 1, LONGEST_PERIOD_S)
    if parallelism is rate is None:
        raise InvalidField("", "expected parallelism or rate", 400)
    if rate is None and period_s is not None:
        raise InvalidField("period", "expected rate beside it", 400)
    period_ms = None if rate is None else 1000 * (period_s or 1)
    key = _named(request)
    await flow.pin(request.app[STORE], WEBHOOK.name, key, rate=rate, period_ms=period_ms, concurrency=parallelism)
    return json_answer(Done())


@describe(
    "Flow control: unpin the limits of a key. They hold until a message says others",
    tag="QStash flow control",
    scope="admin",
    query=_UNPIN,
    answers={200: Done},
    problems=(400, 404, 503),
)
async def unpin_flow_control(request: web.Request) -> web.Response:
    refuse_unknown(request, _UNPIN)
    rate, parallelism = switch(request, "rate"), switch(request, "parallelism")
    await flow.unpin(request.app[STORE], WEBHOOK.name, _named(request), rate=rate, concurrency=parallelism)
    return json_answer(Done())


@describe(
    "Flow control: begin a new period of a key's rate, with nothing let through in it",
    tag="QStash flow control",
    scope="admin",
    answers={200: Done},
    problems=(404, 503),
)
async def reset_flow_control_rate(request: web.Request) -> web.Response:
    await flow.reset_rate(request.app[STORE], WEBHOOK.name, _named(request))
    return json_answer(Done())


def _named(request: web.Request) -> str:
    """Raises ``NotFound``: no message can have another kind of key, and a queue's is none of these."""
    key = request.match_info["key"]
    if not _KEY.fullmatch(key) or key.startswith(QUEUE_PREFIX):
        raise NotFound(key, KIND)
    return key


def _out(request: web.Request, found: FlowKey) -> FlowControlOut:
    period_s = -(-found.period_ms // 1000) if found.rate else 0
    now_s = request.app[STORE].partitions[0].clock.now_ms() // 1000
    return FlowControlOut(
        flow_control_key=found.flow_key,
        wait_list_size=found.waiting,
        parallelism_max=found.concurrency,
        parallelism_count=found.held,
        rate_max=found.rate,
        rate_count=found.recent,
        rate_period=period_s,
        rate_period_start=now_s - period_s if found.rate else 0,
        is_paused=found.paused,
        is_pinned_parallelism=found.pinned_concurrency,
        is_pinned_rate=found.pinned_rate,
    )


_PATH = "/v2/flowControl/{key}"
ROUTES = (
    web.get("/v2/flowControl", list_flow_control),
    web.get(_PATH, get_flow_control),
    web.post(f"{_PATH}/pause", pause_flow_control),
    web.post(f"{_PATH}/resume", resume_flow_control),
    web.post(f"{_PATH}/pin", pin_flow_control),
    web.post(f"{_PATH}/unpin", unpin_flow_control),
    web.post(f"{_PATH}/resetRate", reset_flow_control_rate),
    web.get("/v2/globalParallelism", get_global_parallelism),
)
