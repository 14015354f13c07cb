"""arq: an asyncio queue on a sorted set, from which each worker polls what is due.

Started by its documented ``Worker`` class, which is what ``arq module.WorkerSettings`` runs.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgpack
import uvloop
from arq import Worker, create_pool, func
from arq.connections import RedisSettings

from benchmarks.peers.command import HELD, LEASE_S, Fill, Work, end_at_sigterm, ready, run

SERIALIZER = {"job_serializer": msgpack.packb, "job_deserializer": msgpack.unpackb}
ALWAYS = (
    "msgpack as the serializer (documented; in each profile, as what enqueues must agree), uvloop, hiredis, keep_result=0, "
    "log_results=False, max_jobs=100"
)
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; poll_delay=1 ms. Tried: max_jobs of 10 to 1000, queue_read_limit of once to five times that (the "
        "default), poll_delay of 1 to 50 ms",
        "lateness": f"{ALWAYS}; poll_delay=1 ms (500 by default)",
        "recovery": f"{ALWAYS}; poll_delay=100 ms; job_timeout=5 s: a job counts as abandoned so long after its start, and 10 s "
        "more, which are fixed",
    },
    "documented_at": ["https://arq-docs.helpmanual.io/", "https://github.com/python-arq/arq"],
    "recovers": True,
    "schedules": True,
    "notes": "What tells a killed worker is the longest time a job may take: in the recovery profile any job ends after 5 s, as "
    "failed, also one that hangs in a worker that lives.",
}


def fill(given: Fill) -> None:
    async def sending() -> None:
        pool = await create_pool(RedisSettings.from_dsn(given.redis), **SERIALIZER)

        async def send(body: str, due: float | None) -> None:
            until = None if due is None else datetime.fromtimestamp(due, UTC)
            await pool.enqueue_job("bench", body, _defer_until=until)

        await given.gather(send)
        await pool.aclose()

    uvloop.run(sending())


def work(given: Work) -> None:
    async def bench(_: dict[str, Any], body: str) -> None:
        await given.handle_async(body)

    async def started(_: dict[str, Any]) -> None:
        end_at_sigterm()
        ready()

    options = {"keep_result": 0, "log_results": False, "max_jobs": HELD, "poll_delay": 0.001}
    if given.profile == "recovery":
        options |= {"poll_delay": 0.1, "job_timeout": LEASE_S}
    elif given.profile == "default":
        options = {}
    if given.profile != "default":
        asyncio.set_event_loop(uvloop.new_event_loop())
    redis = RedisSettings.from_dsn(given.redis)
    Worker([func(bench, name="bench")], redis_settings=redis, on_startup=started, **SERIALIZER, **options).run()


if __name__ == "__main__":
    run("arq", ABOUT, fill, work)
