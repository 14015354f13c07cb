"""QStash's client for JavaScript, in a process of Node.js, called from here: see ``js/run.mjs``."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.qstash.node import FOLDER
from tests.qstash.whole import Served
from tests.support.waiting import eventually

ANSWER_S = 30
LONGEST_LINE_BYTES = 2**22
_OWN = ("QSTASH_", "UPSTASH_")
"""Of the environment only what is set here is to reach the client."""


class JsError(Exception):
    """What the client threw."""

    def __init__(self, name: str, message: str, status: int | None) -> None:
        super().__init__(f"{name} ({status}): {message}")
        self.name, self.message, self.status = name, message, status


class Js:
    """``await js("messages.get", message_id)`` is ``await client.messages.get(messageId)``."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self._process, self._errors = process, errors

    async def __call__(self, name: str, *args: object) -> Any:
        return await self._told({"call": name, "args": args})

    async def queue(self, queue: str, name: str, *args: object) -> Any:
        """A call of ``client.queue({queueName})``."""
        return await self._told({"call": name, "queue": queue, "args": args})

    async def dead(self, count: int) -> list[Any]:
        """The DLQ, once it holds so many."""

        async def letters() -> list[Any]:
            found: list[Any] = (await self("dlq.listMessages"))["messages"]
            return found if len(found) >= count else []

        told: list[Any] = await eventually(letters, within_s=15, what=f"{count} in the DLQ")
        return told

    async def logged(self, message_id: str, state: str) -> list[Any]:
        """All entries of the log of a message, once that state is among them. Its processes tell of it one after the other."""

        async def entries() -> list[Any]:
            found: list[Any] = (await self("logs", {"messageIds": [message_id]}))["logs"]
            return found if {state, "CREATED"} <= {one["state"] for one in found} else []

        told: list[Any] = await eventually(entries, within_s=15, what=f"{message_id} is {state}")
        return told

    async def _told(self, call: dict[str, object]) -> Any:
        """Raises ``JsError`` where the client throws."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_S)
        assert line, f"node ended:\n{self._errors.read_text()}"
        answer = json.loads(line)
        if raised := answer.get("raised"):
            raise JsError(raised["name"], raised["message"], raised["status"])
        return answer["told"]


def in_bytes(content: bytes) -> dict[str, str]:
    """Bytes as an argument."""
    return {"$bytes": base64.b64encode(content).decode()}


def in_date(at_ms: int) -> dict[str, int]:
    """A ``Date`` as an argument."""
    return {"$date": at_ms}


@asynccontextmanager
async def running_js(node: Path, served: Served, folder: Path) -> AsyncIterator[Js]:
    errors = folder / "node.err"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            str(node), str(FOLDER / "run.mjs"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
            limit=LONGEST_LINE_BYTES, env={**kept, "QSTASH_URL": served.url, "QSTASH_TOKEN": served.token},
        )  # fmt: skip
    try:
        yield Js(process, errors)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), ANSWER_S)
        except TimeoutError:
            process.kill()
            await process.wait()
