"""``python -m dispatcher``: one dispatcher. Any number may run."""

from __future__ import annotations

import asyncio

from dispatcher.scheduler import Dispatcher
from shared.lifecycle import process_name, run
from shared.logs import logger
from shared.probe import Probe
from shared.settings import Settings
from shared.settings_file import explicit
from shared.store.address import describe_address
from shared.store.partition import Store, report
from shared.waiting import end, until_it_works


async def main(settings: Settings, stop: asyncio.Event) -> int:
    store = Store(settings, f"dispatcher-{process_name()}")
    dispatcher = Dispatcher(store, settings)
    probe = Probe(
        settings.dispatcher.host,
        settings.dispatcher.port,
        explicit=explicit(None, "Dispatcher", "Port"),
        key="Dispatcher.Port",
        health=dispatcher.health,
    )
    await probe.start()
    logger.info("Redis at {}", describe_address(settings.redis.connection_string))
    introduction = asyncio.create_task(_introduce(store))
    try:
        await dispatcher.run(stop)
    finally:
        await end(introduction)
    await probe.stop()
    await store.close()
    return 0


async def _introduce(store: Store) -> None:
    """Says what the servers are as soon as all of them answer. Nobody waits for it: those that answer are worked with."""
    await until_it_works("start", store.synchronise)
    await report(store)


if __name__ == "__main__":
    run("dispatcher", main)
