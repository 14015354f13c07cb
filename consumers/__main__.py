"""``python -m consumers``: one worker process. Any number may run."""

from __future__ import annotations

import asyncio

from consumers.registry import load_handlers
from consumers.runner import TooManyAbandoned
from consumers.webhooks.sender import Sender
from consumers.worker import Worker
from shared.lifecycle import process_name, run
from shared.logs import logger
from shared.probe import Probe
from shared.settings import WEBHOOK, Settings
from shared.settings_file import explicit
from shared.store.address import describe_address
from shared.store.directory import Directory
from shared.store.partition import Store, report

TOO_MANY_ABANDONED = 75
"""Exit code that asks the supervisor for a fresh process (``EX_TEMPFAIL`` of sysexits.h)."""


async def main(settings: Settings, stop: asyncio.Event) -> int:
    name = process_name()
    store = Store(settings, name)
    directory = Directory(store)
    handlers = load_handlers(settings.run_topics(), {WEBHOOK.handler: Sender(settings.webhooks, directory).handler()})
    worker = Worker(store, settings, handlers, name, directory if WEBHOOK.name in handlers else None)
    probe = Probe(
        settings.consumers.host,
        settings.consumers.port,
        explicit=explicit(None, "Consumers", "Port"),
        key="Consumers.Port",
        health=worker.health,
    )
    await probe.start()
    logger.info("consumer {}; Redis at {}", name, describe_address(settings.redis.connection_string))
    logger.info("topics: {}", ", ".join(handlers))
    await report(store)
    try:
        await worker.run(stop)
    except TooManyAbandoned as error:
        logger.error("{}: leaving, for a fresh process to take over", error)
        return TOO_MANY_ABANDONED
    finally:
        await probe.stop()
        await store.close()
    return 0


if __name__ == "__main__":
    run("consumers", main)
