"""Handlers for system tests. Each start is a line in the file that ``RECORD_FILE`` names: appended whole, by any process."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from consumers import Message, handler


def record(message: Message, event: str) -> None:
    line = json.dumps(
        {
            "event": event,
            "id": message.id,
            "attempt": message.attempt,
            "due_ms": message.due_ms,
            "started_ms": message.started_ms,
            "pid": os.getpid(),
        }
    )
    file = os.open(os.environ["RECORD_FILE"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, b"\n" + line.encode() + b"\n")  # a process killed in the middle spoils its own line only
    finally:
        os.close(file)


def obey(order: Any, message: Message) -> None:
    """What the body asks for: ``{"sleep": s}``, ``{"fail": times}``, ``{"kill": true}``."""
    if order.get("kill"):
        os._exit(9)
    if message.attempt <= order.get("fail", 0):
        raise ValueError("as ordered")
    time.sleep(order.get("sleep", 0))


@handler("work")
def work(message: Message) -> None:
    record(message, "start")
    obey(message.json() if message.body else {}, message)
    record(message, "end")


@handler("async-work")
async def async_work(message: Message) -> None:
    record(message, "start")
    order = message.json() if message.body else {}
    await asyncio.sleep(order.get("sleep", 0))
    record(message, "end")
