"""``python -m producer``: the HTTP API."""

from __future__ import annotations

import asyncio

from aiohttp import web

from producer.app import MAX_HEADER_BYTES, make_app
from shared.lifecycle import run
from shared.logs import logger
from shared.probe import listen
from shared.settings import Settings
from shared.store.connect import describe_address

SHUTDOWN_S = 5.0


async def main(settings: Settings, stop: asyncio.Event) -> int:
    runner = web.AppRunner(
        make_app(settings),
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )
    logger.info("Redis at {}", describe_address(settings.redis.connection_string))
    await runner.setup()
    try:
        await listen(runner, settings.producer.host, settings.producer.port, explicit=True, key="Producer.Port")
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0


if __name__ == "__main__":
    run("producer", main)
