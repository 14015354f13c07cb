"""``/v2/keys``: the keys with which requests are signed."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from producer.answers import json_answer
from producer.context import STORE
from producer.openapi import describe
from shared.store import signing_keys


class SigningKeysOut(Struct, frozen=True):
    current: str
    next: str


@describe("The signing keys", tag="QStash signing keys", scope="admin", answers={200: SigningKeysOut}, problems=(503,))
async def get_signing_keys(request: web.Request) -> web.Response:
    keys = await signing_keys.get(request.app[STORE])
    return json_answer(SigningKeysOut(keys.current, keys.next))


@describe(
    "Rotate the signing keys: the next one becomes the current one, and there is a new next one",
    tag="QStash signing keys",
    scope="admin",
    answers={200: SigningKeysOut},
    problems=(409, 503),
)
async def rotate_signing_keys(request: web.Request) -> web.Response:
    keys = await signing_keys.rotate(request.app[STORE])
    return json_answer(SigningKeysOut(keys.current, keys.next))


ROUTES = (
    web.get("/v2/keys", get_signing_keys),
    web.post("/v2/keys/rotate", rotate_signing_keys),
)
