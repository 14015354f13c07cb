"""SAQ: an asyncio queue on lists; each worker moves what is due from a sorted set into one, every second.

Started by its documented ``Worker.start``, which is what ``saq settings`` runs.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import uvloop
from redis.asyncio import Redis
from saq import Worker
from saq.queue.redis import RedisQueue

from benchmarks.peers.command import HANG_S, HELD, LEASE_S, Fill, Work, end_at_sigterm, ready, run

AT_ONCE = 20
RETRIES = 3
SWEEP_S = 0.001
ALWAYS = (
    "orjson as dump and load, uvloop, hiredis, ttl=-1 (no results); redis-py 8 with socket_timeout=None (it would end an idle "
    "wait after 5 s) and max_connections=1000 (100 by default; each job that is awaited takes one)"
)
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; concurrency={AT_ONCE}. Tried: 5 to 100",
        "lateness": f"{ALWAYS}; concurrency={AT_ONCE}; timers schedule=1 s, the default and the least (its lock takes "
        "whole seconds)",
        "recovery": f"{ALWAYS}; concurrency={HELD}; timers sweep=1 s; on each job timeout=0, heartbeat=5 s, retries={RETRIES} "
        "(by default 1, which recovers nothing), and the handler updates its job each second; "
        f"sweep(abort={SWEEP_S}): so long a sweep waits for each job of a dead worker in turn, by default 5 s, 8 minutes for "
        "100 jobs; no sweep while the worker starts, as it takes what is just being fetched for abandoned and may lose it",
        "fill": "due times in fractions of a second, where whole ones are documented (up to 1 s earlier or later)",
    },
    "documented_at": [
        "https://saq-py.readthedocs.io/en/latest/",
        "https://github.com/tobymao/saq",
        "https://github.com/tobymao/saq/blob/master/saq/worker.py",
        "https://github.com/tobymao/saq/blob/master/saq/job.py",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "timeout, heartbeat and retries are a job's: here the hook before_process sets them, as each profile gets the same "
    "jobs. Without them (default) a job ends after 10 s and what a killed worker held is given up.",
}


class _Queue(RedisQueue):
    """Sweeps without waiting 5 s for each job of a dead worker, and not while the worker starts."""

    begun = False

    async def sweep(self, lock: int = 60, abort: float = SWEEP_S) -> list[str]:
        if not self.begun:
            self.begun = True
            return []
        return await super().sweep(lock, abort)


def _queue(redis: str, kind: type[RedisQueue] = RedisQueue, **options: Any) -> RedisQueue:
    client = Redis.from_url(redis, socket_timeout=None, max_connections=1000)
    return kind(client, name="bench", dump=orjson.dumps, load=orjson.loads, **options)


def fill(given: Fill) -> None:
    async def sending() -> None:
        queue = _queue(given.redis, max_concurrent_ops=100)
        await queue.connect()
        await given.gather(lambda body, due: queue.enqueue("bench", body=body, scheduled=due or 0))
        await queue.disconnect()

    uvloop.run(sending())


def work(given: Work) -> None:
    async def bench(context: dict[str, Any], *, body: str) -> None:
        job = context["job"]
        if given.profile != "default":
            job.ttl = -1
        given.mark(body)
        for _ in range(int(HANG_S) if given.hang else 0):
            await asyncio.sleep(1)
            if given.profile == "recovery":
                await job.update()

    async def before(context: dict[str, Any]) -> None:
        await context["job"].update(timeout=0, heartbeat=LEASE_S, retries=RETRIES)

    async def started(_: dict[str, Any]) -> None:
        asyncio.get_running_loop().call_soon(end_at_sigterm)
        ready()

    async def working() -> None:
        if given.profile == "default":
            queue, options = RedisQueue.from_url(given.redis, name="bench"), {}
        elif given.profile == "recovery":
            queue = _queue(given.redis, _Queue)
            options = {"concurrency": HELD, "timers": {"sweep": 1}, "before_process": before}
        else:
            queue, options = _queue(given.redis), {"concurrency": AT_ONCE}
        await queue.connect()
        await Worker(queue, functions=[("bench", bench)], startup=started, **options).start()

    (asyncio if given.profile == "default" else uvloop).run(working())


if __name__ == "__main__":
    run("saq", ABOUT, fill, work)
