"""What one Python process gets through redis-py (with hiredis) in pipelines of 100: writing messages, and reading them.

``write`` stores a message with a ``ZADD`` and an ``HSET`` of its own, ``write_many`` a hundred with one of each. ``read`` reads
a hundred entries of a stream, then acknowledges and deletes them, by the library's own calls, one batch after the other;
``read_many`` does so over several connections at once with asyncio, where otherwise process and server wait for each other,
and with commands as words, which spares the library's own preparation of arguments and answers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from redis import Redis

from benchmarks.limits.measure import PREFIX, Measure, arguments, remove, tell
from benchmarks.marks import body_of

BATCH = 100
FILL_BATCH = 1000
READERS = 4
QUEUE, BODIES, STREAM, GROUP = f"{PREFIX}queue", f"{PREFIX}bodies", f"{PREFIX}stream", "readers"
DUE_MS = 4_000_000_000_000


def write(server: Redis, messages: list[tuple[str, str]]) -> None:
    """Two commands a message."""
    pipeline: Any = server.pipeline(transaction=False)
    for first in range(0, len(messages), BATCH):
        for position, (name, body) in enumerate(messages[first : first + BATCH], first):
            pipeline.execute_command("ZADD", QUEUE, DUE_MS + position, name)
            pipeline.execute_command("HSET", BODIES, name, body)
        pipeline.execute()


def write_many(server: Redis, messages: list[tuple[str, str]]) -> None:
    """Two commands a hundred messages."""
    pipeline: Any = server.pipeline(transaction=False)
    for first in range(0, len(messages), BATCH):
        dues: list[str | int] = []
        bodies: list[str] = []
        for position, (name, body) in enumerate(messages[first : first + BATCH], first):
            dues += DUE_MS + position, name
            bodies += name, body
        pipeline.execute_command("ZADD", QUEUE, *dues)
        pipeline.execute_command("HSET", BODIES, *bodies)
        pipeline.execute()


def fill(server: Redis, messages: list[tuple[str, str]]) -> None:
    """A stream with a group that has read nothing yet."""
    pipeline: Any = server.pipeline(transaction=False)
    for first in range(0, len(messages), FILL_BATCH):
        for name, body in messages[first : first + FILL_BATCH]:
            pipeline.execute_command("XADD", STREAM, "*", "id", name, "body", body)
        pipeline.execute()
    server.xgroup_create(STREAM, GROUP, "0")


def read(server: Redis) -> int:
    """Reads, acknowledges and deletes all that is in the stream, one hundred after the other."""
    pipeline: Any = server.pipeline(transaction=False)
    done = 0
    while answer := server.xreadgroup(GROUP, "reader", {STREAM: ">"}, count=BATCH):
        ids = _ids(answer)
        done += len(ids)
        pipeline.xack(STREAM, GROUP, *ids)
        pipeline.xdel(STREAM, *ids)
        pipeline.execute()
    return done


def _ids(answer: Any) -> list[bytes]:
    entries = answer[STREAM.encode()] if isinstance(answer, dict) else answer[0][1]  # RESP3 or RESP2
    if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple):
        entries = entries[0]  # as the library itself gives them with RESP3
    return [entry[0] for entry in entries]


async def read_many(url: str) -> int:
    """The same over some connections at once."""
    async with redis.asyncio.from_url(url, max_connections=READERS) as client:
        return sum(await asyncio.gather(*(_read(client, f"reader-{number}") for number in range(READERS))))


async def _read(client: Any, name: str) -> int:
    """Each round trip acknowledges and deletes what the one before has read, and reads the next."""
    pipeline = client.pipeline(transaction=False)
    pipeline.response_callbacks = {}  # answers as they are: the library would make other lists of them
    done = 0
    while True:
        pipeline.execute_command("XREADGROUP", "GROUP", GROUP, name, "COUNT", BATCH, "STREAMS", STREAM, ">")
        answer = (await pipeline.execute())[-1]
        if not answer:
            return done
        ids = _ids(answer)
        done += len(ids)
        pipeline.execute_command("XACK", STREAM, GROUP, *ids)
        pipeline.execute_command("XDEL", STREAM, *ids)


def main() -> None:
    parser = arguments(__doc__, count=200_000)
    parser.add_argument("what", choices=("write", "write_many", "read", "read_many"))
    options = parser.parse_args()
    server = Redis.from_url(options.redis)
    remove(server)
    messages = [(f"message-{number:08d}", body_of(number, options.bytes)) for number in range(options.count)]
    if options.what in {"read", "read_many"}:
        fill(server, messages)
        with Measure(server) as took:
            done = read(server) if options.what == "read" else asyncio.run(read_many(options.redis))
        left = server.xlen(STREAM)
    else:
        with Measure(server) as took:
            (write if options.what == "write" else write_many)(server, messages)
        done, left = server.zcard(QUEUE), options.count - server.hlen(BODIES)
    remove(server)
    if done != options.count or left:
        raise SystemExit(f"{done} of {options.count} messages, {left} left over")
    tell(f"pipelines {options.what}", bytes=options.bytes, batch=BATCH, **took.figures(options.count))


if __name__ == "__main__":
    main()
