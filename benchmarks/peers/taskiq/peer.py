"""taskiq on taskiq-redis: an asyncio queue on a stream, and a scheduler that sends what is due.

Started by its documented API, which does in one process what ``taskiq worker --workers 1`` does in a child. The stream broker
acknowledges; the list broker, which loses what a killed worker held, was not faster.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import uvloop
from taskiq import TaskiqScheduler
from taskiq.api import run_receiver_task, run_scheduler_task
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from benchmarks.peers.command import LEASE_S, Fill, Work, end_at_sigterm, ready, run

ALWAYS = (
    "RedisStreamBroker (acknowledges); ORJSONSerializer, uvloop and hiredis (documented as faster); no result backend; "
    "socket_timeout=None (redis-py 8 would end a connection that is idle for 5 s)"
)
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; --no-parse; max_async_tasks=200, xread_count=200, max_prefetch=200. Tried: the list broker, JSON, "
        "asyncio's own loop, 20 to 500 tasks, 0 to 1000 prefetched; uvloop is what mattered",
        "lateness": f"{ALWAYS}; --no-parse; ListRedisScheduleSource in a scheduler process of its own, as documented, "
        "update_interval 0.5 s, loop_interval 10 ms: the loop rounds its next turn down to a whole second, so that an interval "
        "below 1 s makes it spin on a core, which is its best lateness (1 s, the least of the command line: 600 ms, 1050 ms)",
        "recovery": f"{ALWAYS}; idle_timeout=5 s, unacknowledged_lock_timeout=5 s, xread_block=500 ms",
    },
    "documented_at": [
        "https://taskiq-python.github.io/guide/cli.html",
        "https://taskiq-python.github.io/guide/scheduling-tasks.html",
        "https://taskiq-python.github.io/guide/message-format.html",
        "https://github.com/taskiq-python/taskiq-redis",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "What a killed worker held is claimed only after a read that brought a message: an idle queue recovers nothing. "
    "The stream is never trimmed unless maxlen is set, which may drop what is not consumed yet. A second scheduler would send "
    "everything twice.",
}
SCHEDULE = "schedule"


def _broker(redis: str, profile: str = "", **options: object) -> RedisStreamBroker:
    """The broker of a profile; as it comes for ``default``."""
    if profile == "default":
        return RedisStreamBroker(redis)
    return RedisStreamBroker(redis, socket_timeout=None, **options).with_serializer(ORJSONSerializer())


def fill(given: Fill) -> None:
    async def sending() -> None:
        broker = _broker(given.redis, max_connection_pool_size=100)
        source = ListRedisScheduleSource(given.redis, max_connection_pool_size=100)

        @broker.task(task_name="bench")
        async def bench(body: str) -> None:
            pass

        await broker.startup()
        if given.due == "now":
            await given.gather(lambda body, _: bench.kiq(body))
        else:
            await given.gather(lambda body, due: bench.schedule_by_time(source, datetime.fromtimestamp(due, UTC), body))
        await broker.shutdown()

    uvloop.run(sending())


async def _schedule(redis: str, profile: str) -> None:
    """What ``taskiq scheduler`` does."""
    scheduler = TaskiqScheduler(_broker(redis, profile), [ListRedisScheduleSource(redis)])
    often = {} if profile == "default" else {"interval": timedelta(seconds=0.5), "loop_interval": timedelta(milliseconds=10)}
    await run_scheduler_task(scheduler, run_startup=True, **often)


def work(given: Work) -> None:
    children = []
    if given.profile in {"lateness", "default"}:
        children.append(subprocess.Popen([sys.executable, __file__, SCHEDULE, given.redis, given.profile]))
    end_at_sigterm(children)

    async def working() -> None:
        many = {"xread_count": 200} if given.profile == "drain" else {}
        if given.profile == "recovery":
            many = {"idle_timeout": LEASE_S * 1000, "unacknowledged_lock_timeout": LEASE_S, "xread_block": 500}
        broker = _broker(given.redis, given.profile, **many)

        @broker.task(task_name="bench")
        async def bench(body: str) -> None:
            await given.handle_async(body)

        await broker.startup()
        ready()
        at_once = {"max_async_tasks": 200, "max_prefetch": 200} if given.profile == "drain" else {}
        await run_receiver_task(broker, validate_params=given.profile == "default", **at_once)

    uvloop.run(working())


if __name__ == "__main__":
    if sys.argv[1] == SCHEDULE:
        uvloop.run(_schedule(*sys.argv[2:]))
    run("taskiq", ABOUT, fill, work)
