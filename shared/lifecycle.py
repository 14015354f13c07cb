"""How every process starts and stops: settings, log, signals, exit code."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from secrets import token_hex

from shared.errors import SettingsError
from shared.logs import logger, set_up_logging
from shared.settings import Settings
from shared.settings_file import load_settings

BAD_SETTINGS = 78
"""Exit code of a process whose settings are wrong (``EX_CONFIG`` of sysexits.h): starting it again would not help."""

YOUNG_OBJECTS = 10_000
"""Containers made and not freed before the garbage collector looks through them; 700 is Python's own choice."""

Main = Callable[[Settings, asyncio.Event], Awaitable[int]]


def process_name() -> str:
    """A name that no other process has and that a person can place: host, pid, four random digits."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(2)}"


def run(service: str, main: Main) -> None:
    """Runs ``main(settings, stop)`` until it returns its exit code. SIGTERM and SIGINT set ``stop``."""
    epilog = "It takes no arguments: see Settings in README.md."
    argparse.ArgumentParser(prog=f"python -m {service}", description=f"One {service} process.", epilog=epilog).parse_args()
    try:
        settings = load_settings()
        file = set_up_logging(settings.logging, service)
    except SettingsError as error:
        sys.stderr.write(f"{service}: bad settings: {error}\n")
        raise SystemExit(BAD_SETTINGS) from None
    logger.info("{} starts; log file {}", service, file)
    _spare_garbage_collector()
    try:
        code = asyncio.run(_with_signals(settings, main))
    except SettingsError as error:
        logger.opt(exception=error.__cause__).error("bad settings: {}", error)
        code = BAD_SETTINGS
    except Exception:  # noqa: BLE001 - logged with its traceback before the process ends
        logger.exception("{} failed", service)
        code = 1
    logger.info("{} has stopped", service)
    logger.complete()
    sys.stdout.flush()
    os._exit(code)  # a handler's abandoned thread must not hold the process back


def _spare_garbage_collector() -> None:
    """What was imported stays: nobody looks through it again for cycles that are not there, and for new ones less often.

    Else a process that makes much stops for 10 ms and more now and then, and a sixth of its time goes there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def _with_signals(settings: Settings, main: Main) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await main(settings, stop)
