"""What a test leaves behind in Redis. Nothing may, but what retention explains."""

from __future__ import annotations

import re

from shared.store.connect import Client

RETAINED = ("topics", "counts", "finished", "finished:expiry", "log")
"""Kept on purpose: the memory of topics, counters, finished messages until their retention has passed, the newest of the log."""
MADE_ONCE = {b"signing", b"*"}
"""Fields of ``webhooks`` that stay: URL groups do not."""
FORMS = re.compile(
    r"topics|counts|labels|log|webhooks|index|mark|paused|finished|finished:expiry|dead|dead:records|due:(echo|work|webhook)(:high|:low|:limited|:parked)?|flow:(echo|work|webhook):(line|held|log|next|limits|logs)|stream:(echo|work|webhook):(high|normal|low)"
    r"|schedules|schedules:next|schedule:[A-Za-z0-9_.-]{1,128}(:runs)?"
    r"|idempotency:[0-9a-f]{40}(:[0-9]+)?|tally:[0-9]+|errors:(echo|work|webhook)-0-[0-9a-v]{21}"
)
"""Every key there may be with the topics ``echo`` and ``work`` and one partition, without prefix and tag."""


async def leaked_keys(redis: Client, prefix: str) -> dict[str, str]:
    """Keys of a prefix that should not be there any more, with what they are."""
    leaked = {}
    async for raw in redis.scan_iter(match=f"{prefix}:*", count=1000):
        key = raw.decode()
        name = key.split("}:", 1)[1]
        if name in RETAINED:
            continue
        kind = (await redis.type(key)).decode()
        if name == "webhooks" and set(await redis.hkeys(key)) <= MADE_ONCE:
            continue
        if kind == "none":  # its time to live ended meanwhile
            continue
        if kind == "stream" and await redis.xlen(key) == 0 and await _nothing_pending(redis, key):
            continue
        if name.startswith(("idempotency:", "rate:", "tally:")) and await redis.pttl(key) != -1:
            continue
        leaked[name] = kind
    return leaked


async def _nothing_pending(redis: Client, stream: str) -> bool:
    return all(group["pending"] == 0 for group in await redis.xinfo_groups(stream))


async def delete_keys(redis: Client, prefix: str) -> None:
    keys = [key async for key in redis.scan_iter(match=f"{prefix}:*", count=1000)]
    for start in range(0, len(keys), 500):
        await redis.delete(*keys[start : start + 500])
