"""``/topics/{topic}/flow-keys``: what each flow key may do, and how much of it runs and waits."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web
from msgspec import UNSET

from producer.answers import json_answer
from producer.context import SETTINGS, STORE
from producer.drafts import duration
from producer.flow_schemas import FlowKeyOut, FlowKeys, FlowLimit
from producer.openapi import describe
from producer.requests import page_limit, read_json, rules
from producer.schemas import FLOW_KEY_TEXT
from shared.errors import InvalidField, NotFound
from shared.store import flow
from shared.store.flow import FlowKey, Limit
from shared.times import format_delay

PAGE, LARGEST_PAGE = 50, 100
LONGEST_PERIOD_MS = 86_400_000
USUAL_PERIOD_MS = 1_000
_KEY = re.compile(FLOW_KEY_TEXT)
_limit = msgspec.json.Decoder(FlowLimit)


@describe(
    "Flow keys of a topic: limits, and how much of each runs and waits",
    tag="flow control",
    scope="read",
    query={
        "limit": ({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE}, "Most flow keys a page."),
        "cursor": ({"type": "string", "pattern": f"^{FLOW_KEY_TEXT}$"}, "`next_cursor` of the page before."),
    },
    answers={200: FlowKeys},
    problems=(404, 422, 503),
)
async def list_flow_keys(request: web.Request) -> web.Response:
    unknown = set(request.query) - {"limit", "cursor"}
    if unknown:
        raise InvalidField(min(unknown), "there is no such parameter; expected limit or cursor")
    topic, limit, cursor = _topic(request), page_limit(request, PAGE, LARGEST_PAGE), request.query.get("cursor")
    if cursor is not None and not _KEY.fullmatch(cursor):
        raise InvalidField("cursor", "expected the next_cursor of an earlier page")
    found = await flow.flow_keys(request.app[STORE], topic, cursor or "", limit + 1)
    items = tuple(_out(topic, one) for one in found[:limit])
    return json_answer(FlowKeys(items=items, next_cursor=items[-1].flow_key if len(found) > limit else ""))


@describe("One flow key, used or not", tag="flow control", scope="read", answers={200: FlowKeyOut}, problems=(404, 503))
async def get_flow_key(request: web.Request) -> web.Response:
    return await _answer(request, *_named(request))


@describe(
    "Set the limit of a flow key, in place of that of the settings. It holds for what waits already",
    tag="flow control",
    scope="admin",
    request=FlowLimit,
    example={"rate": 10, "period": "1s", "concurrency": 2},
    answers={200: FlowKeyOut},
    problems=(400, 404, 408, 413, 415, 422, 503),
)
async def put_flow_key(request: web.Request) -> web.Response:
    topic, flow_key = _named(request)
    asked, against = await read_json(request, _limit), rules(request)
    if asked.rate is asked.concurrency is UNSET:
        raise InvalidField("", "expected at least one of rate and concurrency; DELETE takes a limit away")
    if asked.rate is UNSET and asked.period is not UNSET:
        raise InvalidField("period", "expected rate beside it")
    period_ms = USUAL_PERIOD_MS if asked.period is UNSET else duration("period", asked.period, against)
    if not 1 <= period_ms <= LONGEST_PERIOD_MS:
        raise InvalidField("period", "expected a millisecond to a day")
    limit = Limit(0 if asked.rate is UNSET else asked.rate, period_ms, 0 if asked.concurrency is UNSET else asked.concurrency)
    await flow.set_limit(request.app[STORE], topic, flow_key, limit)
    return await _answer(request, topic, flow_key)


@describe(
    "Take the limit of a flow key away: that of the settings holds again",
    tag="flow control",
    scope="admin",
    answers={200: FlowKeyOut},
    problems=(404, 503),
)
async def delete_flow_key(request: web.Request) -> web.Response:
    topic, flow_key = _named(request)
    await flow.set_limit(request.app[STORE], topic, flow_key, None)
    return await _answer(request, topic, flow_key)


@describe(
    "Pause a flow key: nothing more of it is let through. What was goes on, and messages are accepted",
    tag="flow control",
    scope="admin",
    answers={200: FlowKeyOut},
    problems=(404, 503),
)
async def pause_flow_key(request: web.Request) -> web.Response:
    topic, flow_key = _named(request)
    await flow.pause(request.app[STORE], topic, flow_key, paused=True)
    return await _answer(request, topic, flow_key)


@describe("Resume a flow key", tag="flow control", scope="admin", answers={200: FlowKeyOut}, problems=(404, 503))
async def resume_flow_key(request: web.Request) -> web.Response:
    topic, flow_key = _named(request)
    await flow.pause(request.app[STORE], topic, flow_key, paused=False)
    return await _answer(request, topic, flow_key)


def _topic(request: web.Request) -> str:
    topic = request.match_info["topic"]
    if topic not in request.app[SETTINGS].all_topics():
        raise NotFound(topic, "topic")
    return topic


def _named(request: web.Request) -> tuple[str, str]:
    """Topic and flow key. Raises ``NotFound``: no message can have another kind of key."""
    topic, flow_key = _topic(request), request.match_info["flow_key"]
    if not _KEY.fullmatch(flow_key):
        raise NotFound(flow_key, "flow key")
    return topic, flow_key


async def _answer(request: web.Request, topic: str, flow_key: str) -> web.Response:
    return json_answer(_out(topic, await flow.get(request.app[STORE], topic, flow_key)))


def _out(topic: str, found: FlowKey) -> FlowKeyOut:
    return FlowKeyOut(
        topic=topic,
        flow_key=found.flow_key,
        rate=found.rate or UNSET,
        period=format_delay(found.period_ms) if found.rate else UNSET,
        concurrency=found.concurrency or UNSET,
        own_limit=found.own,
        paused=found.paused,
        running=found.held,
        waiting=found.waiting,
        recent=found.recent,
    )
