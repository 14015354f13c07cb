"""How much a key may ask for in a second, counted over all producers."""

from __future__ import annotations

import math

from aiohttp import web

from producer.auth import CALLER, is_open
from producer.context import STORE
from producer.middleware import QSTASH, Handler
from producer.refusal import Refusal
from shared.errors import Outage
from shared.store.rates import Limit, take


@web.middleware
async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Each request counts one. Raises ``Refusal`` (429)."""
    if request[CALLER] is not None and not is_open(request):
        await _count(request, 1)
    return await handler(request)


async def count_messages(request: web.Request, messages: int) -> None:
    """Counts the messages of a batch beside the first, which is the request itself. Raises ``Refusal`` (429).

    A batch larger than the burst passes when the rest of the burst is free, and what follows waits until it is paid off:
    so the limit holds over time, and no batch is impossible.
    """
    await _count(request, messages - 1, already=1)


async def _count(request: web.Request, count: int, already: int = 0) -> None:
    """``already``: how many of the burst this request has taken before."""
    limit = _limit(request)
    if limit is None or count == 0:
        return
    try:
        wait_ms = await take(request.app[STORE], limit, count, min(count, limit.burst - already))
    except Outage:
        return  # what the request wants of Redis fails next, and that answer tells more
    if wait_ms:
        detail = (
            f"the API key {limit.name} may ask for {limit.per_s:g} messages or other requests a second, {limit.burst} at once"
        )
        raise Refusal(429, detail, _headers(request, limit, math.ceil(wait_ms / 1000)))


def _headers(request: web.Request, limit: Limit, after_s: int) -> dict[str, str]:
    """With those that QStash's clients read, where they ask: how many at once, how many are left, and when there are more."""
    found = {"Retry-After": str(after_s)}
    if request.path.startswith(QSTASH):
        now_s = request.app[STORE].partitions[0].clock.now_ms() // 1000
        found |= {
            "Burst-RateLimit-Limit": str(limit.burst),
            "Burst-RateLimit-Remaining": "0",
            "Burst-RateLimit-Reset": str(now_s + after_s),
        }
    return found


def _limit(request: web.Request) -> Limit | None:
    key = request[CALLER]
    if key is None or key.rate_per_s is None:
        return None
    return Limit(key.name, key.rate_per_s, key.burst or math.ceil(key.rate_per_s))
