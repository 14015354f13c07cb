"""Whether the user of the connection string may run every command of the scripts.

A script that is refused in its middle has done its first half, and Redis does not take that back: a message that was removed
from its ZSET and not added to its stream would be gone. So a process tries each command before its first script, on a
key of the wrong type for it: who may run it is told so (``WRONGTYPE``), and nothing changes. All go in one round trip, which
Redis works off in one go, so nobody else sees that key.
"""

from __future__ import annotations

from redis.exceptions import RedisError

from shared.errors import Outage
from shared.store.connect import Client
from shared.store.keys import Keys
from shared.store.outage import HINTS, outage_of, outages

TRIAL_MS = 1_000
"""How long the key of a trial may stay where the process that made it dies meanwhile."""
TRIALS: tuple[tuple[str, ...], ...] = (
    ("SET", "{key}", "", "PX", str(TRIAL_MS)),
    ("PEXPIRE", "{key}", str(TRIAL_MS)), ("EXISTS", "{key}"), ("GET", "{key}"), ("TIME",), ("PUBLISH", "{channel}", ""),
    ("HDEL", "{key}", "x"), ("HGET", "{key}", "x"), ("HINCRBY", "{key}", "x", "1"), ("HLEN", "{key}"),
    ("HMGET", "{key}", "x"), ("HSET", "{key}", "x", "x"),
    ("LLEN", "{key}"), ("LRANGE", "{key}", "0", "0"), ("LTRIM", "{key}", "0", "0"), ("RPUSH", "{key}", "x"),
    ("XACK", "{key}", "x", "0-1"), ("XADD", "{key}", "*", "x", "x"), ("XCLAIM", "{key}", "x", "x", "0", "0-1"),
    ("XDEL", "{key}", "0-1"), ("XGROUP CREATE", "{key}", "x", "0"), ("XGROUP DELCONSUMER", "{key}", "x", "x"),
    ("XLEN", "{key}"), ("XPENDING", "{key}", "x"), ("XRANGE", "{key}", "-", "+", "COUNT", "1"),
    ("ZADD", "{key}", "0", "x"), ("ZCARD", "{key}"), ("ZCOUNT", "{key}", "0", "0"), ("ZLEXCOUNT", "{key}", "-", "+"),
    ("ZRANDMEMBER", "{key}", "1"),    ("ZRANGE", "{key}", "0", "0"),
    ("ZRANGEBYLEX", "{key}", "-", "+"), ("ZRANGEBYSCORE", "{key}", "0", "0"), ("ZREM", "{key}", "x"),
    ("ZREMRANGEBYLEX", "{key}", "-", "+"), ("ZREMRANGEBYRANK", "{key}", "0", "0"),
    ("ZSCORE", "{key}", "x"),
    ("DEL", "{key}"),
)  # fmt: skip
"""Every command of the scripts. ``DEL`` comes last: also where ``SET`` is refused, whatever was made is gone then."""


async def check_permissions(client: Client, keys: Keys) -> None:
    """Raises ``Outage`` (noauth) that names what is not allowed. What a full Redis or a replica refuses is allowed."""
    pipeline = client.pipeline(transaction=False)
    for words in TRIALS:
        pipeline.execute_command(*(word.format(key=keys.trial, channel=keys.wake_channel) for word in words))
    with outages():
        answers = await pipeline.execute(raise_on_error=False)
    refused = [words[0].lower() for words, answer in zip(TRIALS, answers, strict=True) if _is_refusal(answer)]
    if refused:
        raise Outage("noauth", f"not allowed, and needed by the scripts: {', '.join(refused)}; {HINTS['noauth']}")


def _is_refusal(answer: object) -> bool:
    outage = outage_of(answer) if isinstance(answer, RedisError) else None
    return outage is not None and outage.kind == "noauth"
