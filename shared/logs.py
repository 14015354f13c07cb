"""Logging for every process: readable on the terminal, files with daily rotation and ZIP compression.

Each process has a file of its own, ``<service>-<n>.log``, with the lowest ``n`` that no running process holds, so that
several on one machine (or in containers that share the folder) never rotate each other's file.

No secrets and no bodies at INFO or above; ``echo``'s own line is the one exception.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from pathlib import Path
from typing import IO, Any

from loguru import logger

from shared.errors import SettingsError
from shared.log_lines import json_line, one_line, text_line
from shared.settings import LoggingSettings

MOST_PROCESSES = 1000
_held: list[IO[bytes]] = []
"""Lock files, open until the process ends: the lock ends with it."""


def set_up_logging(settings: LoggingSettings, service: str) -> Path:
    """Sends log lines to the terminal and to this process's file, which is returned.

    Raises ``SettingsError`` where the folder cannot be written.
    """
    _take_over_the_libraries()
    logger.remove()
    logger.configure(extra={"service": service, "pid": os.getpid()})
    formatter: Any = json_line if settings.format == "json" else text_line
    logger.add(sys.stderr, level=settings.level, format=formatter, colorize=None, backtrace=False, diagnose=False)
    file = _own_file(Path(settings.directory), service)
    logger.add(
        file,
        level=settings.level,
        format=formatter,
        rotation="00:00",
        compression="zip",
        retention=f"{settings.retention_days} days",
        backtrace=True,
        diagnose=False,  # it would print variables, and with them bodies and secrets
        encoding="utf-8",
        delay=False,
    )
    return file


class _FromLibraries(logging.Handler):
    """What libraries tell the log of the standard library: it would go to standard error unescaped, and into no file."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(
            _LEVELS.get(record.levelno, "WARNING"), "{}: {}", record.name, record.getMessage()
        )


_LEVELS = {logging.ERROR: "ERROR", logging.CRITICAL: "CRITICAL"}


def _take_over_the_libraries() -> None:
    root = logging.getLogger()
    if not any(isinstance(one, _FromLibraries) for one in root.handlers):
        root.addHandler(_FromLibraries(logging.WARNING))


def _own_file(folder: Path, service: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, MOST_PROCESSES):
            file = folder / f"{service}-{number}.log"
            if _take(folder / f".{service}-{number}.lock", file):
                return file
    except OSError as error:
        raise SettingsError("Logging.Directory", str(folder), f"expected a folder that can be written: {error}") from None
    raise SettingsError("Logging.Directory", str(folder), f"expected fewer than {MOST_PROCESSES} processes")


def _take(lock_file: Path, file: Path) -> bool:
    """Whether the file is this process's now. Not one that is held, nor another user's: containers may share the folder."""
    try:
        lock = lock_file.open("ab")
    except PermissionError:
        if lock_file.exists():
            return False
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    if file.exists() and not os.access(file, os.W_OK):
        lock.close()
        return False
    _held.append(lock)
    return True


__all__ = ["logger", "one_line", "set_up_logging"]
