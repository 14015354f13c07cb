"""RQ: functions, one at a time in a worker; a scheduler process of its own puts what is due into the queue.

Started by its documented ``Worker`` and ``SimpleWorker`` classes, which is what ``rq worker [--worker-class]`` runs.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from itertools import islice

from redis import Redis
from rq import Queue, Retry, SimpleWorker, Worker

from benchmarks.peers.command import HANG_S, Fill, Work, end_at_sigterm, ready, run

LIGHT = "default_result_ttl=0, log_job_description=False, logging_level=WARNING, hiredis"
ABOUT = {
    "settings": {
        "drain": f"SimpleWorker (documented as about six times as fast as Worker, which forks for each job), {LIGHT}",
        "lateness": f"SimpleWorker, {LIGHT}; --with-scheduler, which turns once a second. Tried: an RQScheduler with interval=0 "
        "(it takes whole seconds), which spins and made the worker later, as it keeps a core and the server busy",
        "recovery": "Retry(max=3) on each job (without it an abandoned job fails), job_monitoring_interval=1 (60 s, which are "
        "fixed, are added to it before a job counts as abandoned), maintenance_interval=1, worker_ttl=16 (wakes each second)",
        "fill": "enqueue_many and pipelines; a description of its own (by default the call is stored once more, as text)",
    },
    "documented_at": [
        "https://python-rq.org/docs/workers/",
        "https://python-rq.org/docs/scheduling/",
        "https://python-rq.org/docs/exceptions/",
        "https://github.com/rq/rq/blob/master/docs/benchmark.md",
    ],
    "recovers": True,
    "schedules": True,
    "notes": "A worker holds one job at a time. A due time is cut to the whole second: a job may start up to 1 s early. The "
    "scheduler takes at most 1000 due jobs a turn. A killed worker leaves its job's process behind, which would finish the job: "
    "here it ends with its parent, as it does when a machine is lost.",
}
CHUNK = 1000
bench = print
"""The handler, which a job names as ``__main__.bench``."""


class _EndsAtOnce:
    def _install_signal_handlers(self) -> None:
        """Instead of the warm shutdown."""
        end_at_sigterm([self.scheduler._process] if self.scheduler else [])  # noqa: SLF001 - it tells nobody else


class _Worker(_EndsAtOnce, Worker):
    """``Worker``, which forks for each job."""


class _SimpleWorker(_EndsAtOnce, SimpleWorker):
    """``SimpleWorker``, which runs jobs in its own process."""


def fill(given: Fill) -> None:
    connection = Redis.from_url(given.redis)
    queue, messages = Queue("bench", connection=connection), iter(given)
    while chunk := list(islice(messages, CHUNK)):
        if given.due == "now":
            retry = Retry(max=3)
            jobs = [Queue.prepare_data("__main__.bench", (body,), description="bench", retry=retry) for body, _ in chunk]
            queue.enqueue_many(jobs)
            continue
        with connection.pipeline(transaction=False) as pipe:
            for body, due in chunk:
                queue.enqueue_at(datetime.fromtimestamp(due, UTC), "__main__.bench", body, description="bench", pipeline=pipe)
            pipe.execute()


def work(given: Work) -> None:
    global bench  # noqa: PLW0603 - jobs name it
    parent = os.getpid()

    def handle(body: str) -> None:
        given.mark(body)
        until = time.monotonic() + (HANG_S if given.hang else 0)
        while time.monotonic() < until:
            time.sleep(0.1)
            if parent not in {os.getpid(), os.getppid()}:
                os._exit(1)

    bench = handle
    connection = Redis.from_url(given.redis)
    if given.profile == "default":
        worker = _Worker(["bench"], connection=connection)
    elif given.profile == "recovery":
        slack = {"job_monitoring_interval": 1, "maintenance_interval": 1, "worker_ttl": 16}
        worker = _Worker(["bench"], connection=connection, default_result_ttl=0, **slack)
    else:
        worker = _SimpleWorker(["bench"], connection=connection, default_result_ttl=0, log_job_description=False)
    ready()
    worker.work(logging_level="WARNING", with_scheduler=given.profile in {"lateness", "default"})


if __name__ == "__main__":
    run("rq", ABOUT, fill, work)
