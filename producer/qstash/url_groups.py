"""``/v2/topics``: URL groups. QStash's paths keep the older name of them; a topic of this service is something else."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from producer.answers import json_answer
from producer.context import STORE, TARGETS
from producer.openapi import describe
from producer.qstash.names import checked
from producer.qstash.view_schemas import Done
from producer.requests import read_json
from shared.errors import InvalidField, NotFound
from shared.store import url_groups
from shared.store.url_groups import Endpoint, UrlGroup
from shared.targets import Targets

MOST_ENDPOINTS = 100
"""Of one request."""
_Url = Annotated[str, Meta(max_length=2_000)]
_Name = Annotated[str, Meta(max_length=100)]


class EndpointIn(Struct, frozen=True):
    """Without a ``url`` only where endpoints are removed."""

    url: _Url | None = None
    name: _Name | None = None


class EndpointsIn(Struct, frozen=True):
    endpoints: Annotated[tuple[EndpointIn, ...], Meta(min_length=1, max_length=MOST_ENDPOINTS)]


class EndpointOut(Struct, frozen=True, omit_defaults=True):
    url: str
    name: str = ""


class UrlGroupOut(Struct, frozen=True, rename="camel"):
    name: str
    created_at: int
    """Milliseconds since the epoch."""
    updated_at: int
    endpoints: tuple[EndpointOut, ...]


_endpoints = msgspec.json.Decoder(EndpointsIn)
_PROBLEMS = (400, 404, 408, 413, 415, 422, 503)


@describe("URL groups", tag="QStash URL groups", scope="read", answers={200: tuple[UrlGroupOut, ...]}, problems=(503,))
async def list_url_groups(request: web.Request) -> web.Response:
    return json_answer([_out(group) for group in await url_groups.list_groups(request.app[STORE])])


@describe("One URL group", tag="QStash URL groups", scope="read", answers={200: UrlGroupOut}, problems=(400, 404, 503))
async def get_url_group(request: web.Request) -> web.Response:
    return json_answer(_out(await url_groups.get(request.app[STORE], _named(request))))


@describe(
    "Add endpoints to a URL group, or change them; it is made where it is not there",
    tag="QStash URL groups",
    scope="admin",
    request=EndpointsIn,
    example={"endpoints": [{"url": "https://example.com/one", "name": "one"}]},
    answers={200: Done},
    problems=_PROBLEMS,
)
async def upsert_endpoints(request: web.Request) -> web.Response:
    name, asked = _named(request), await read_json(request, _endpoints)
    targets = request.app[TARGETS]
    wanted = tuple(_to_add(one, f"endpoints[{number}]", targets) for number, one in enumerate(asked.endpoints))
    await url_groups.upsert_endpoints(request.app[STORE], name, wanted)
    return json_answer(Done())


@describe(
    "Remove endpoints from a URL group, by their URLs or names; with the last one goes the group",
    tag="QStash URL groups",
    scope="admin",
    request=EndpointsIn,
    example={"endpoints": [{"name": "one"}]},
    answers={200: Done},
    problems=_PROBLEMS,
)
async def remove_endpoints(request: web.Request) -> web.Response:
    name, asked = _named(request), await read_json(request, _endpoints)
    wanted = tuple(_to_remove(one, f"endpoints[{number}]") for number, one in enumerate(asked.endpoints))
    await url_groups.remove_endpoints(request.app[STORE], name, wanted)
    return json_answer(Done())


@describe(
    "Delete a URL group. What was sent to it before goes on",
    tag="QStash URL groups",
    scope="admin",
    answers={200: Done},
    problems=(400, 503),
)
async def delete_url_group(request: web.Request) -> web.Response:
    with suppress(NotFound):  # as with QStash: gone is gone
        await url_groups.delete(request.app[STORE], _named(request))
    return json_answer(Done())


def _named(request: web.Request) -> str:
    return checked(request.match_info["group"], "urlGroupName")


def _to_add(one: EndpointIn, field: str, targets: Targets) -> Endpoint:
    """What a name is resolved to is decided when requests are sent."""
    if not one.url:
        raise InvalidField(f"{field}.url", "this field is required")
    try:
        targets.check(one.url)
    except ValueError as error:
        raise InvalidField(f"{field}.url", f"{error}; got {one.url[:80]!r}") from None
    return Endpoint(one.url, checked(one.name, f"{field}.name") if one.name else None)


def _to_remove(one: EndpointIn, field: str) -> Endpoint:
    """An empty URL means any."""
    if not one.url and not one.name:
        raise InvalidField(field, "expected url or name")
    return Endpoint(one.url or "", one.name or None)


def _out(group: UrlGroup) -> UrlGroupOut:
    endpoints = tuple(EndpointOut(one.url, one.name or "") for one in group.endpoints)
    return UrlGroupOut(group.name, group.created_ms, group.updated_ms, endpoints)


ROUTES = (
    web.get("/v2/topics", list_url_groups),
    web.get("/v2/topics/{group}", get_url_group),
    web.delete("/v2/topics/{group}", delete_url_group),
    web.post("/v2/topics/{group}/endpoints", upsert_endpoints),
    web.delete("/v2/topics/{group}/endpoints", remove_endpoints),
)
