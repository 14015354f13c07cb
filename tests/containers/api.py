"""The producer's API as a user calls it."""

from __future__ import annotations

import time
from typing import Any

import aiohttp

from tests.support.waiting import eventually

ENDED = {"delivered", "dead", "expired", "cancelled"}


async def call(method: str, url: str, json: object = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    async with aiohttp.ClientSession() as http, http.request(method, url, json=json, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def schedule(url: str, **message: object) -> str:
    """Schedules a message; its id."""
    status, accepted = await call("POST", f"{url}/messages", message)
    assert status == 202, accepted
    return str(accepted["id"])


async def schedule_echo(url: str, text: str, delay_ms: int) -> str:
    """Schedules an echo; its id."""
    status, accepted = await call("POST", f"{url}/echoAtTime", {"time": int(time.time() * 1000) + delay_ms, "message": text})
    assert status == 202, accepted
    return str(accepted["id"])


async def ended(url: str, message_id: str, within_s: float = 20.0) -> Any:
    """The message once it is settled."""

    async def look() -> Any:
        _, message = await call("GET", f"{url}/messages/{message_id}")
        return message if message.get("status") in ENDED else None

    return await eventually(look, within_s=within_s, what=f"{message_id} is settled")
