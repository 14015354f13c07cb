"""Who asks, and whether they may: API keys and their scopes.

Without keys in the settings everybody on this machine may everything, but no page in its browser: a page of another site can let
its own name point to this machine (DNS rebinding), and then its requests carry that name; or send what a browser sends without
asking first, and then they carry its origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from producer.context import SETTINGS
from producer.middleware import Handler
from producer.openapi import DOCS_PATHS, scope_of
from producer.refusal import Refusal
from shared.api_keys import key_of
from shared.settings import ApiKeySettings, AuthSettings, Scope

CALLER = web.RequestKey[ApiKeySettings | None]("caller")
"""The key that a request was sent with; none where there are no keys, and for a stranger."""

NOT_HERE = (
    "expected localhost or a loopback address: without API keys only this machine is served, by its own name. "
    "Set Auth.Keys, or Auth.Disabled where something else protects the service"
)


@web.middleware
async def authorised(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises ``Refusal``: 401 without a key that is known, 403 where the scope is missing, 421 for another machine's name."""
    auth = request.app[SETTINGS].auth
    if is_local(auth):
        _check_names(request)
    request[CALLER] = key = _key(request, auth.keys) if auth.keys else None
    if auth.keys and not is_open(request):
        _check(key, scope_of(request.match_info.handler))
    return await handler(request)


def is_local(auth: AuthSettings) -> bool:
    """Whether this machine alone is served."""
    return not auth.keys and not auth.disabled


def _check_names(request: web.Request) -> None:
    """What is no browser sends no ``Origin``."""
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    if host is not None and not is_loopback(host):
        raise Refusal(421, NOT_HERE, field="Host")
    if origin is not None and not is_loopback(origin.partition("://")[2]):
        raise Refusal(421, NOT_HERE, field="Origin")


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a host and port name this machine itself: ``localhost`` (RFC 6761) or an address of loopback, on any port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def is_open(request: web.Request) -> bool:
    """Whether no key is needed for it: health, and the API's description where the settings say so.

    A path that is not there needs a key like any other, so that a stranger learns nothing of what there is.
    """
    scope = scope_of(request.match_info.handler)
    if scope == "any":
        resource = request.match_info.route.resource
        return resource is not None and resource.canonical in DOCS_PATHS and request.app[SETTINGS].auth.public_docs
    return scope == "none"


def is_known(request: web.Request) -> bool:
    """Whether details may be told: the request has a key, or none is asked for."""
    return request[CALLER] is not None or not request.app[SETTINGS].auth.keys


def _key(request: web.Request, keys: Sequence[ApiKeySettings]) -> ApiKeySettings | None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return key_of(given.strip(), keys) if given and scheme.lower() == "bearer" else None


def _check(key: ApiKeySettings | None, scope: str) -> None:
    if key is None:
        detail = "expected an API key that is known, as `Authorization: Bearer <key>`"
        raise Refusal(401, detail, {"WWW-Authenticate": "Bearer"}, "Authorization")
    if not may(key, scope):
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise Refusal(403, f"the API key does not have the scope {scope}", {"WWW-Authenticate": challenge}, "Authorization")


def may(key: ApiKeySettings, scope: Scope | str) -> bool:
    return scope in {"any", *key.scopes} or "admin" in key.scopes
