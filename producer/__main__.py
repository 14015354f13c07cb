"""``python -m producer``: the HTTP API."""

from __future__ import annotations

import asyncio
from typing import Any

from producer.context import WATCH
from producer.server import Runner
from shared.lifecycle import run
from shared.logs import logger
from shared.probe import listen
from shared.settings import Settings
from shared.store.address import describe_address
from shared.waiting import end


async def main(settings: Settings, stop: asyncio.Event) -> int:
    runner = Runner(settings)
    logger.info("Redis at {}", describe_address(settings.redis.connection_string))
    _tell_who_may_come(settings)
    await runner.setup()
    try:
        await listen(runner, settings.producer.host, settings.producer.port, explicit=True, key="Producer.Port")
        await _until(stop, runner.app[WATCH].refused)
    finally:
        await runner.cleanup()
    return 0


async def _until(stop: asyncio.Event, refused: asyncio.Future[None]) -> None:
    """Raises the ``SettingsError`` of a setting that turns out to be impossible."""
    stopping = asyncio.create_task(stop.wait())
    futures: set[asyncio.Future[Any]] = {stopping, refused}
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    await end(stopping)
    if refused.done():
        refused.result()


def _tell_who_may_come(settings: Settings) -> None:
    """A setting that lets everybody in is not overlooked."""
    if settings.auth.keys:
        logger.info("API keys are asked for: {}", ", ".join(key.name for key in settings.auth.keys))
    elif settings.auth.disabled:
        logger.warning("Auth.Disabled: whoever reaches {} may do everything", settings.producer.host)
    else:
        logger.info("no API keys: only this machine is served ({})", settings.producer.host)


if __name__ == "__main__":
    run("producer", main)
