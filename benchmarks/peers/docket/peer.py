"""docket (pydocket): an asyncio queue on a stream; what is due later waits in a sorted set, from where each worker moves it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import uvloop
from docket import Docket, Worker

from benchmarks.peers.command import HELD, LEASE_S, Fill, Work, end_at_sigterm, ready, run

ALWAYS = "execution_ttl=0 (documented for what needs no record of its state), uvloop, hiredis"
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; concurrency=20, minimum_check_interval=1 ms (how long a worker sleeps whenever all its slots are "
        "taken: by default 10 messages each 250 ms), scheduling_resolution=1 s. Tried: concurrency 10 to 1000, 1 to 10 ms, "
        "asyncio's own loop",
        "lateness": f"{ALWAYS}; scheduling_resolution=1 ms, minimum_check_interval=10 ms, concurrency=100 with max_connections "
        "raised as documented. Tried: 1 to 5 ms, 1 to 250 ms",
        "recovery": f"{ALWAYS}; redelivery_timeout=5 s, minimum_check_interval=10 ms, concurrency={HELD}, max_connections raised",
    },
    "documented_at": [
        "https://docket.lol/en/latest/production/",
        "https://docket.lol/en/latest/api-reference/",
        "https://github.com/chrisguidry/docket",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "A concurrency of 100 and more runs out of redis-py's 100 connections unless the URL says max_connections.",
}
OPTIONS = {
    "drain": {
        "concurrency": 20,
        "minimum_check_interval": timedelta(milliseconds=1),
        "scheduling_resolution": timedelta(seconds=1),
    },
    "lateness": {
        "concurrency": 100,
        "minimum_check_interval": timedelta(milliseconds=10),
        "scheduling_resolution": timedelta(milliseconds=1),
    },
    "recovery": {
        "concurrency": HELD,
        "minimum_check_interval": timedelta(milliseconds=10),
        "redelivery_timeout": timedelta(seconds=LEASE_S),
    },
    "default": {},
}
CONNECTIONS = 300


def fill(given: Fill) -> None:
    async def bench(body: str) -> None:
        pass

    async def sending() -> None:
        async with Docket(name="bench", url=given.redis, execution_ttl=timedelta(0)) as docket:
            docket.register(bench)
            whens = ((body, None if due is None else datetime.fromtimestamp(due, UTC)) for body, due in given)
            await docket.add_many(docket.call(bench, when)(body) for body, when in whens)

    uvloop.run(sending())


def work(given: Work) -> None:
    end_at_sigterm()
    is_default = given.profile == "default"
    tuned = {} if is_default else {"execution_ttl": timedelta(0)}

    async def bench(body: str) -> None:
        await given.handle_async(body)

    async def working() -> None:
        url = given.redis if is_default else f"{given.redis}?max_connections={CONNECTIONS}"
        async with Docket(name="bench", url=url, **tuned) as docket:
            docket.register(bench)
            async with Worker(docket, **OPTIONS[given.profile]) as worker:
                ready()
                await worker.run_forever()

    (asyncio if is_default else uvloop).run(working())


if __name__ == "__main__":
    run("pydocket", ABOUT, fill, work)
