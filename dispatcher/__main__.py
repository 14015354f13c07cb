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
from shared.waiting import until_it_works


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
    start = asyncio.create_task(until_it_works("start", store.synchronise))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({start, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if start.done():
        start.result()
        await report(store)
        await dispatcher.run(stop)
    start.cancel()
    await probe.stop()
    await store.close()
    return 0


if __name__ == "__main__":
    run("dispatcher", main)
