"""The least memory that a pending message can take in a sorted set: a bare one, whose members are the bodies themselves."""

from __future__ import annotations

import time
from typing import Any

from redis import Redis

from benchmarks.limits.measure import PREFIX, arguments, remove, tell
from benchmarks.marks import body_of

QUEUE = f"{PREFIX}bare"
BATCH = 500
SETTLE_S = 1.5
"""Until what was written has left the buffer of the append-only file, which counts as used memory."""


def used_memory(server: Redis) -> int:
    info: Any = server.info("memory")
    return int(info["used_memory"])


def main() -> None:
    options = arguments(__doc__).parse_args()
    server: Any = Redis.from_url(options.redis)
    remove(server)
    server.execute_command("ZADD", QUEUE, 1, "x")  # the connection's own buffers are there before the first look
    remove(server)
    time.sleep(SETTLE_S)
    before, due_ms = used_memory(server), int(time.time() * 1000) + 30 * 86_400_000
    for first in range(0, options.count, BATCH):
        words: list[str | int] = []
        for number in range(first, min(options.count, first + BATCH)):
            words += due_ms + number, body_of(number, options.bytes)
        server.execute_command("ZADD", QUEUE, *words)
    time.sleep(SETTLE_S)
    used, told = used_memory(server) - before, server.memory_usage(QUEUE, samples=0) or 0
    remove(server)
    tell(
        "bare",
        bytes=options.bytes,
        count=options.count,
        bytes_per_message=round(used / options.count, 1),
        memory_usage_per_message=round(told / options.count, 1),
    )


if __name__ == "__main__":
    main()
