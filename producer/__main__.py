"""``python -m producer``: the HTTP API."""

from __future__ import annotations

import asyncio

from producer.server import Runner
from shared.lifecycle import run
from shared.logs import logger
from shared.probe import listen
from shared.settings import Settings
from shared.store.address import describe_address


async def main(settings: Settings, stop: asyncio.Event) -> int:
    runner = Runner(settings)
    logger.info("Redis at {}", describe_address(settings.redis.connection_string))
    _tell_who_may_come(settings)
    await runner.setup()
    try:
        await listen(runner, settings.producer.host, settings.producer.port, explicit=True, key="Producer.Port")
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0


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
