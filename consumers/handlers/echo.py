"""Topic ``echo``: writes the message to the log and to standard output at its time, on one line."""

from __future__ import annotations

import sys

from consumers.message import Message
from consumers.registry import handler
from shared.logs import logger, one_line


@handler("echo")
def echo(message: Message) -> None:
    line = one_line(message.text)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    logger.info("echo: {}", line, id=message.id, lateness_ms=message.lateness_ms)
