"""dramatiq: actors in threads; a delayed message waits in a worker's memory, from where it is enqueued again when due.

Started by its documented ``Worker`` class, which is what ``dramatiq --processes 1 --threads N`` runs in a child.
"""

from __future__ import annotations

import math
import os
import threading

from benchmarks.peers.command import HELD, LEASE_S, Fill, Work, end_at_sigterm, profile, ready, run

ENVIRONMENT = {
    "drain": {"dramatiq_queue_prefetch": "1000"},
    "lateness": {"dramatiq_queue_prefetch": "100", "dramatiq_delay_queue_prefetch": "65535", "dramatiq_worker_timeout": "1"},
    "recovery": {"dramatiq_worker_timeout": "100"},
}
os.environ.update(ENVIRONMENT.get(profile(), {}))  # is read when dramatiq is imported

import dramatiq  # noqa: E402 - after its environment is set
from dramatiq.brokers.redis import RedisBroker  # noqa: E402 - after its environment is set
from dramatiq.common import current_millis  # noqa: E402 - after its environment is set
from dramatiq.middleware import Retries  # noqa: E402 - after its environment is set

THREADS = {"drain": 1, "lateness": 2, "recovery": HELD, "default": 8}
ABOUT = {
    "settings": {
        "drain": "dramatiq_queue_prefetch=1000, --threads 1, middleware=[Retries()] (the default has six), hiredis. Tried: 1 "
        "to 16 threads, prefetch of 2 per thread (the default: 250 messages/s a thread, as it sleeps 5 ms or more when it has "
        "enough) to 3000",
        "lateness": "dramatiq_worker_timeout=1 ms (the longest pause between two polls; 1000 by default), --threads 2, "
        "dramatiq_delay_queue_prefetch=65535, dramatiq_queue_prefetch=100, middleware=[Retries()]. Tried: 1 to 5 ms, 1 to 8 "
        "threads",
        "recovery": "heartbeat_timeout=5 s, maintenance_chance=1000000 (with each fetch), dramatiq_worker_timeout=100 ms, "
        f"--threads {HELD}",
    },
    "documented_at": [
        "https://dramatiq.io/reference.html",
        "https://dramatiq.io/advanced.html",
        "https://dramatiq.io/changelog.html",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "A delay must be less than 7 days, says its reference; nothing enforces it. Delayed messages are fetched in the "
    "order of their enqueueing, at most 65535 by a worker: one due soon waits behind as many that are due later.",
}


def fill(given: Fill) -> None:
    broker = RedisBroker(url=given.redis)
    actor = dramatiq.actor(print, actor_name="bench", broker=broker)

    def send(body: str, due: float | None) -> None:
        actor.send_with_options(args=(body,), delay=None if due is None else math.ceil(due * 1000) - current_millis())

    given.threads(send)


def work(given: Work) -> None:
    end_at_sigterm()
    options = {} if given.profile == "default" else {"middleware": [Retries()]}
    if given.profile == "recovery":
        options |= {"heartbeat_timeout": LEASE_S * 1000, "maintenance_chance": 1_000_000}
    broker = RedisBroker(url=given.redis, **options)
    dramatiq.actor(given.handle, actor_name="bench", broker=broker)
    dramatiq.Worker(broker, worker_threads=THREADS[given.profile]).start()
    ready()
    threading.Event().wait()


if __name__ == "__main__":
    run("dramatiq", ABOUT, fill, work)
