"""``/health``: for people, for liveness and for readiness probes."""

from __future__ import annotations

from aiohttp import web

from producer.answers import json_answer
from producer.auth import is_known
from producer.context import STORE, WATCH
from producer.openapi import describe
from producer.schemas import Health, Ready, TopicHealth
from shared.errors import Outage
from shared.store import topics
from shared.version import VERSION


@describe(
    "How the service is, for people: always 200. Where there are API keys, a stranger is told the status alone",
    tag="health",
    scope="none",
    answers={200: Health},
)
async def health(request: web.Request) -> web.Response:
    watch, store = request.app[WATCH], request.app[STORE]
    reasons, depths = watch.reasons(), list[topics.TopicDepth]()
    if not is_known(request):  # a stranger costs Redis nothing
        return json_answer(Health(status="unready" if reasons else "ok", version=VERSION))
    if not reasons:
        try:
            depths = await topics.depths(store)
        except Outage as outage:
            reasons = (f"Redis does not answer: {outage}",)
    preflight = watch.preflight
    strangers = [depth.topic for depth in depths if not depth.configured]
    warnings = preflight.warnings if preflight else ()
    if strangers:
        warnings += (f"messages wait for topics that the settings do not name: {', '.join(strangers)}",)
    answer = Health(
        status="unready" if reasons else "ok",
        version=VERSION,
        server=preflight.server if preflight else "",
        clock_difference_ms=store.partitions[0].clock.difference_ms() if preflight else 0,
        topics=tuple(
            TopicHealth(
                topic=depth.topic,
                scheduled=depth.scheduled,
                ready=depth.ready,
                running=depth.running,
                configured=depth.configured,
            )
            for depth in depths
        ),
        reasons=reasons,
        warnings=warnings,
    )
    return json_answer(answer)


@describe("The process is alive", tag="health", scope="none", answers={200: Ready})
async def live(_: web.Request) -> web.Response:
    return json_answer(Ready(status="ok"))


@describe("Requests can be accepted: Redis answers", tag="health", scope="none", answers={200: Ready, 503: Ready})
async def ready(request: web.Request) -> web.Response:
    reasons = request.app[WATCH].reasons()
    if reasons and not is_known(request):
        reasons = ("Redis does not answer; with an API key there is more to read here",)
    return json_answer(Ready(status="unready" if reasons else "ok", reasons=reasons), 503 if reasons else 200)
