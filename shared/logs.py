"""Logging for every process: readable on the terminal, files with daily rotation and ZIP compression.

Each process has a file of its own, ``<service>-<n>.log``, with the lowest ``n`` that no running process holds, so that
several on one machine (or in containers that share the folder) never rotate each other's file.

No secrets and no bodies at INFO or above; ``echo``'s own line is the one exception.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from loguru import logger

from shared.errors import SettingsError
from shared.settings import LoggingSettings

if TYPE_CHECKING:
    from loguru import Record

MOST_PROCESSES = 1000
_TIME = "{time:YYYY-MM-DDTHH:mm:ss.SSSZ}"
_OWN = frozenset({"service", "pid", "text", "line", "trace", "json"})
"""What the formatters keep for themselves."""
_held: list[IO[bytes]] = []
"""Lock files, open until the process ends: the lock ends with it."""


def set_up_logging(settings: LoggingSettings, service: str) -> Path:
    """Sends log lines to the terminal and to this process's file, which is returned.

    Raises ``SettingsError`` where the folder cannot be written.
    """
    logger.remove()
    logger.configure(extra={"service": service, "pid": os.getpid()})
    formatter: Any = _json_line if settings.format == "json" else _text_line
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


def _text_line(record: Record) -> str:
    extra = record["extra"]
    shown = {key: value for key, value in extra.items() if key not in _OWN}
    extra["text"] = one_line(record["message"])
    extra["line"] = one_line("".join(f" {key}={value}" for key, value in shown.items()))
    extra["trace"] = "" if record["exception"] is None else _lines(_traceback(record))
    level = "<level>{level: <8}</level>"
    return f"{_TIME} {level} {{extra[service]}}[{{extra[pid]}}] {{extra[text]}}<dim>{{extra[line]}}</dim>\n{{extra[trace]}}"


def _json_line(record: Record) -> str:
    line = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": record["message"],
        "logger": f"{record['name']}:{record['line']}",
        **{key: _plain(value) for key, value in record["extra"].items() if key not in _OWN - {"service", "pid"}},
    }
    if record["exception"] is not None:
        line["exception"] = _traceback(record)
    record["extra"]["json"] = json.dumps(line, ensure_ascii=False)
    return "{extra[json]}\n"


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _traceback(record: Record) -> str:
    import traceback  # noqa: PLC0415 - needed only when something went wrong

    exception = record["exception"]
    assert exception is not None  # noqa: S101 - the caller looked
    return "".join(traceback.format_exception(exception.type, exception.value, exception.traceback))


def _lines(text: str) -> str:
    """The same lines, with every other control character escaped: an exception's text may be a caller's."""
    return "".join(one_line(line) + "\n" for line in text.splitlines())


def one_line(text: str) -> str:
    """The text with control characters escaped, so that it stays on one line and moves no terminal's cursor."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text)


__all__ = ["logger", "one_line", "set_up_logging"]
