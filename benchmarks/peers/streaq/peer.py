"""streaQ: an asyncio queue on a stream; each worker moves what is due from a sorted set into it, every half second.

Started by its documented ``Worker.run_sync``, which is what ``streaq run`` calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice

import anyio
import orjson
from streaq import Worker

from benchmarks.peers.command import HELD, LEASE_S, Fill, Work, end_at_sigterm, ready, run

ALWAYS = "orjson as the serializer (in each profile, as what enqueues must agree); uvloop; ttl=0 (no results), silent=True"
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; concurrency=16 and as many prefetched, as by default. Tried: 8 to 256 at once, 1000 prefetched "
        "(no faster), asyncio's own loop (a half more time per message)",
        "lateness": f"{ALWAYS}. The half second between two looks at what is due cannot be set",
        "recovery": f"{ALWAYS}; idle_timeout=5 s, concurrency={HELD}, prefetch=1",
        "fill": "enqueue_many, 1000 at a time",
    },
    "documented_at": [
        "https://streaq.readthedocs.io/en/latest/worker.html",
        "https://streaq.readthedocs.io/en/latest/task.html",
        "https://streaq.readthedocs.io/en/latest/api/worker.html",
        "https://github.com/tastyware/streaq/tree/master/benchmarks",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "An idle worker looks for what a killed one held each idle_timeout: it comes back after once to twice that. "
    "Needs server-side functions (FUNCTION LOAD).",
}
CHUNK = 1000
JSON = {"serializer": orjson.dumps, "deserializer": orjson.loads}
UVLOOP = {"use_uvloop": True}


def fill(given: Fill) -> None:
    worker = Worker(given.redis, queue_name="bench", **JSON)

    @worker.task(name="bench")
    async def bench(body: str) -> None:
        pass

    async def sending() -> None:
        messages = iter(given)
        async with worker:
            while chunk := list(islice(messages, CHUNK)):
                tasks = []
                for body, due in chunk:
                    task = bench.enqueue(body)
                    tasks.append(task if due is None else task.start(schedule=datetime.fromtimestamp(due, UTC)))
                await worker.enqueue_many(tasks)

    anyio.run(sending, backend_options=UVLOOP)


def work(given: Work) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        end_at_sigterm()
        ready()
        yield

    options = {} if given.profile == "default" else {"anyio_kwargs": UVLOOP}
    if given.profile == "recovery":
        options |= {"concurrency": HELD, "prefetch": 1, "idle_timeout": LEASE_S}
    worker = Worker(given.redis, queue_name="bench", lifespan=lifespan, handle_signals=False, **JSON, **options)
    light = {} if given.profile == "default" else {"ttl": 0, "silent": True}

    @worker.task(name="bench", **light)
    async def bench(body: str) -> None:
        await given.handle_async(body)

    worker.run_sync()


if __name__ == "__main__":
    run("streaq", ABOUT, fill, work)
