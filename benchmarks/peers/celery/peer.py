"""Celery on Redis: lists, its own emulation of AMQP's acknowledgements, and what is due later in the memory of workers."""

from __future__ import annotations

from datetime import UTC, datetime

from celery import Celery
from celery.signals import worker_ready

from benchmarks.peers.command import HELD, LEASE_S, Fill, Work, end_at_sigterm, ready, run

ALWAYS = "task_ignore_result, no gossip, mingle, heartbeat and remote control, hiredis"
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; --pool solo, worker_prefetch_multiplier=128 (documented for short tasks), priority_steps=[0], "
        "ack_emulation=False: three times as fast as with acknowledgements, and what a killed worker had prefetched is lost. "
        "Tried: solo, threads with 1 to 10, prefork with 1 and 2; prefetch 4, 128, 1000, unlimited",
        "lateness": f"{ALWAYS}; --pool threads -c 4 (solo stops for seconds at a time with an ETA). worker_timer_precision made "
        "no difference",
        "recovery": f"{ALWAYS}; task_acks_late, worker_prefetch_multiplier=1, visibility_timeout=5 s (in both places), "
        f"unacked_restore_interval=1 s and unacked_restore_throttle=1 (as of kombu 5.7), --pool threads -c {HELD}",
    },
    "documented_at": [
        "https://docs.celeryq.dev/en/stable/userguide/optimizing.html",
        "https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html",
        "https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.redis.html",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "Workers fetch every message with an ETA, however far it is, and hold it unacknowledged: one that is due later than "
    "the visibility timeout (1 hour by default) is given to another worker again and again, as documented. Without acks_late a "
    "message that a killed worker had begun is lost.",
}
SOLO, THREADS = ("--pool", "solo"), ("--pool", "threads", "--concurrency")
POOLS = {"drain": SOLO, "lateness": (*THREADS, "4"), "recovery": (*THREADS, str(HELD)), "default": ("--concurrency", "1")}
SETTINGS = {
    "drain": {
        "worker_prefetch_multiplier": 128,
        "broker_transport_options": {"ack_emulation": False, "priority_steps": [0]},
    },
    "recovery": {
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "visibility_timeout": LEASE_S,
        "broker_transport_options": {
            "visibility_timeout": LEASE_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    },
}
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def fill(given: Fill) -> None:
    app = Celery("bench", broker=given.redis, task_ignore_result=True)

    @app.task(name="bench")
    def bench(body: str) -> None:
        pass

    with app.producer_or_acquire() as producer, producer.batch():
        for body, due in given:
            eta = None if due is None else datetime.fromtimestamp(due, UTC)
            bench.apply_async((body,), eta=eta, producer=producer)


def work(given: Work) -> None:
    app = Celery("bench", broker=given.redis)
    app.conf.worker_redirect_stdouts = False
    tuned = given.profile != "default"
    if tuned:
        app.conf.update(task_ignore_result=True, worker_enable_remote_control=False, **SETTINGS.get(given.profile, {}))

    @app.task(name="bench")
    def bench(body: str) -> None:
        given.handle(body)

    @worker_ready.connect(weak=False)
    def consuming(**_: object) -> None:
        if tuned:  # a pool of processes must end by itself
            end_at_sigterm()
        ready()

    app.worker_main(["worker", "--loglevel", "WARNING", *POOLS[given.profile], *(QUIET if tuned else ())])


if __name__ == "__main__":
    run("celery", ABOUT, fill, work)
