"""huey: lists of pickled tasks, worker threads, and a scheduler thread that looks once a second."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from huey import RedisHuey

from benchmarks.peers.command import HELD, Fill, Work, end_at_sigterm, ready, run

ALWAYS = "results=False, --quiet, --no-periodic, --disable-health-check, hiredis"
ABOUT = {
    "settings": {
        "drain": f"{ALWAYS}; --workers 2 (threads), blocking=False with --delay 1 ms and --max-delay 5 ms: RPOP instead of "
        "BRPOP. Tried: 1 to 16 threads, a process, blocking",
        "lateness": f"{ALWAYS}; --workers 2, --scheduler-interval 1 (the default; the least it takes)",
        "recovery": f"{ALWAYS}; --workers {HELD}. It has no setting for it",
    },
    "documented_at": [
        "https://huey.readthedocs.io/en/latest/consumer.html",
        "https://huey.readthedocs.io/en/latest/api.html",
    ],
    "recovers": False,
    "schedules": True,
    "notes": "A message is popped before it is run: what a killed worker ran is lost. A message with an ETA waits in the queue "
    "of what is due until a worker reads it and puts it into the schedule, so that without a worker it is counted there.",
}
OPTIONS = {
    "drain": {"workers": 2, "initial_delay": 0.001, "max_delay": 0.005},
    "lateness": {"workers": 2},
    "recovery": {"workers": HELD},
}


def fill(given: Fill) -> None:
    huey = RedisHuey("bench", url=given.redis, results=False)

    @huey.task(name="bench")
    def bench(body: str) -> None:
        pass

    def send(body: str, due: float | None) -> None:
        if due is None:
            bench(body)
        else:
            bench.schedule((body,), eta=datetime.fromtimestamp(due, UTC))

    given.threads(send)


def work(given: Work) -> None:
    tuned = given.profile != "default"
    logging.getLogger("huey").setLevel(logging.ERROR if tuned else logging.INFO)
    options = {"results": False, "blocking": given.profile != "drain"} if tuned else {}
    huey = RedisHuey("bench", url=f"{given.redis}?max_connections={2 * HELD}", **options)

    @huey.task(name="bench")
    def bench(body: str) -> None:
        given.handle(body)

    quiet = {"periodic": False, "check_worker_health": False} if tuned else {}
    huey.create_consumer(**quiet, **OPTIONS.get(given.profile, {})).start()
    end_at_sigterm()  # in place of the handlers that start() has set
    ready()
    threading.Event().wait()


if __name__ == "__main__":
    run("huey", ABOUT, fill, work)
