"""The whole API on one screen."""

from __future__ import annotations

from aiohttp import web

from producer import dead_letters, echo, health, messages, preview

_AN_ID = "(?!(?:batch|preview)$)[^/]+"
"""``batch`` and ``preview`` are none: another method there is refused as on any other path."""
_MESSAGE = f"/messages/{{id:{_AN_ID}}}"

ROUTES = (
    web.post("/echoAtTime", echo.echo_at_time),
    web.post("/messages", messages.post_message),
    web.post("/messages/batch", messages.post_batch),
    web.post("/messages/preview", preview.preview_message),
    web.get(_MESSAGE, messages.get_message),
    web.patch(_MESSAGE, messages.patch_message),
    web.delete(_MESSAGE, messages.delete_message),
    web.post("/messages/{id}/deliver", messages.deliver_message),
    web.get("/dead-letters", dead_letters.list_dead_letters),
    web.post("/dead-letters/{id}/replay", dead_letters.replay_dead_letter),
    web.get("/health", health.health),
    web.get("/health/live", health.live),
    web.get("/health/ready", health.ready),
    # /docs and /openapi.json are added by producer.openapi
)


def path_of(route: web.RouteDef) -> str:
    """A route's path as the description has it."""
    return route.path.replace(f":{_AN_ID}", "")
