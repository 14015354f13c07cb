"""The whole API on one screen."""

from __future__ import annotations

import re

from aiohttp import web

from producer import bulk, dead_letters, echo, events, flow_keys, health, log, messages, preview, schedules, topics
from producer.qstash import routes as qstash

_AN_ID = "(?!(?:batch|preview|cancel|deliver|replay|delete)$)[^/]+"
"""What is a path of its own is no id: another method there is refused as on any other path."""
_LETTER = f"/dead-letters/{{id:{_AN_ID}}}"
_SCHEDULE = "/schedules/{id:(?!preview$)[^/]+}"
_MESSAGE = f"/messages/{{id:{_AN_ID}}}"
_FLOW_KEYS = "/topics/{topic}/flow-keys"
_FLOW_KEY = f"{_FLOW_KEYS}/{{flow_key}}"

ROUTES = (
    web.post("/echoAtTime", echo.echo_at_time),
    web.get("/messages", messages.list_some),
    web.post("/messages", messages.post_message),
    web.post("/messages/batch", messages.post_batch),
    web.post("/messages/preview", preview.preview_message),
    web.post("/messages/cancel", bulk.cancel_many),
    web.post("/messages/deliver", bulk.deliver_many),
    web.get(_MESSAGE, messages.get_message),
    web.patch(_MESSAGE, messages.patch_message),
    web.delete(_MESSAGE, messages.delete_message),
    web.post("/messages/{id}/deliver", messages.deliver_message),
    web.get("/dead-letters", dead_letters.list_dead_letters),
    web.post("/dead-letters/replay", bulk.replay_many),
    web.post("/dead-letters/delete", bulk.delete_many),
    web.get(_LETTER, dead_letters.get_dead_letter),
    web.delete(_LETTER, dead_letters.delete_dead_letter),
    web.post("/dead-letters/{id}/replay", dead_letters.replay_dead_letter),
    web.get("/schedules", schedules.list_schedules),
    web.post("/schedules", schedules.post_schedule),
    web.post("/schedules/preview", schedules.preview_schedule),
    web.get(_SCHEDULE, schedules.get_schedule),
    web.put(_SCHEDULE, schedules.put_schedule),
    web.patch(_SCHEDULE, schedules.patch_schedule),
    web.delete(_SCHEDULE, schedules.delete_schedule),
    web.post("/schedules/{id}/pause", schedules.pause_schedule),
    web.post("/schedules/{id}/resume", schedules.resume_schedule),
    web.post("/schedules/{id}/run", schedules.run_schedule),
    web.get("/topics", topics.list_topics),
    web.get("/topics/{topic}", topics.get_topic),
    web.post("/topics/{topic}/pause", topics.pause_topic),
    web.post("/topics/{topic}/resume", topics.resume_topic),
    web.get(_FLOW_KEYS, flow_keys.list_flow_keys),
    web.get(_FLOW_KEY, flow_keys.get_flow_key),
    web.put(_FLOW_KEY, flow_keys.put_flow_key),
    web.delete(_FLOW_KEY, flow_keys.delete_flow_key),
    web.post(f"{_FLOW_KEY}/pause", flow_keys.pause_flow_key),
    web.post(f"{_FLOW_KEY}/resume", flow_keys.resume_flow_key),
    web.get("/events", events.watch_events),
    web.get("/log", log.list_log),
    *qstash.ROUTES,
    web.get("/health", health.health),
    web.get("/health/live", health.live),
    web.get("/health/ready", health.ready),
    # /docs and /openapi.json are added by producer.openapi
)


def path_of(route: web.RouteDef) -> str:
    """A route's path as the description has it."""
    return re.sub(r"\{(\w+):.*?\}(?=$|/)", r"{\1}", route.path)
