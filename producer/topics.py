"""``/topics``: how much lies where, who works on it; pause and resume."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET

from producer.answers import json_answer
from producer.context import STORE
from producer.openapi import describe
from producer.schemas import TopicOut, Topics, TopicWorker
from shared.errors import NotFound
from shared.store import tallies, topics
from shared.store.tallies import Rates
from shared.store.topics import TopicView
from shared.times import format_ms

KIND = "topic"


@describe(
    "Topics: how much waits, is late and runs, how much passes, and who works on it",
    tag="topics",
    scope="read",
    answers={200: Topics},
    problems=(503,),
)
async def list_topics(request: web.Request) -> web.Response:
    store = request.app[STORE]
    depths = await topics.depths(store)
    rates = await tallies.rates(store, [depth.topic for depth in depths])
    return json_answer(Topics(items=tuple([_out(await topics.view_of(store, depth), rates[depth.topic]) for depth in depths])))


@describe("One topic", tag="topics", scope="read", answers={200: TopicOut}, problems=(404, 503))
async def get_topic(request: web.Request) -> web.Response:
    return await _answer(request)


@describe(
    "Pause a topic: within two seconds nothing new of it is delivered. What runs goes on, and messages are accepted",
    tag="topics",
    scope="admin",
    answers={200: TopicOut},
    problems=(404, 503),
)
async def pause_topic(request: web.Request) -> web.Response:
    view = await _found(request)
    await topics.pause(request.app[STORE], view.depth.topic)
    return await _answer(request)


@describe(
    "Resume a topic: within two seconds it goes on",
    tag="topics",
    scope="admin",
    answers={200: TopicOut},
    problems=(404, 503),
)
async def resume_topic(request: web.Request) -> web.Response:
    view = await _found(request)
    await topics.resume(request.app[STORE], view.depth.topic)
    return await _answer(request)


async def _answer(request: web.Request) -> web.Response:
    view = await _found(request)
    rates = await tallies.rates(request.app[STORE], [view.depth.topic])
    return json_answer(_out(view, rates[view.depth.topic]))


async def _found(request: web.Request) -> TopicView:
    name = request.match_info["topic"]
    view = await topics.view(request.app[STORE], name)
    if view is None:
        raise NotFound(name, KIND)
    return view


def _out(view: TopicView, rates: Rates) -> TopicOut:
    return TopicOut(
        topic=view.depth.topic,
        configured=view.depth.configured,
        paused=view.paused,
        scheduled=view.depth.scheduled,
        overdue=view.overdue,
        limited=view.limited,
        ready=view.depth.ready,
        running=view.depth.running,
        lateness_ms=view.lateness_ms,
        accepted_per_second=rates.accepted_per_s,
        delivered_per_second=rates.delivered_per_s,
        failed_per_second=rates.failed_per_s,
        next_due_at=UNSET if view.next_due_ms is None else format_ms(view.next_due_ms),
        workers=tuple(TopicWorker(name=one.name, running=one.running, idle_ms=one.idle_ms) for one in view.consumers),
    )
