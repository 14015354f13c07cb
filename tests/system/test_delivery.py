"""The whole way of a message, with real processes."""

from __future__ import annotations

import time
from typing import Any

from shared.times import format_ms
from tests.support.waiting import eventually
from tests.system.conftest import MakeService


async def test_a_message_is_delivered_at_its_time_and_printed_on_one_line(make_service: MakeService) -> None:
    """An echo is printed once, by the worker, not before its time, and the message says when it was delivered."""
    service = make_service()
    await service.start()
    due_ms = int(time.time() * 1000) + 700

    status, accepted = await service.call("POST", "/echoAtTime", {"time": due_ms, "message": "hello\nworld"})

    assert status == 202
    assert accepted["time"] == format_ms(due_ms)
    message = await _settled(service, accepted["id"])
    assert message["status"] == "delivered"
    assert message["lateness_ms"] >= 0
    assert message["started_at"] >= accepted["time"]
    assert service.named("consumers")[0].out.read_text() == "hello\\nworld\n"


async def _settled(service: Any, message_id: str, within_s: float = 20.0) -> Any:
    async def look() -> Any:
        _, message = await service.call("GET", f"/messages/{message_id}")
        return message if message.get("status") in {"delivered", "dead", "expired", "cancelled"} else None

    return await eventually(look, within_s=within_s, what=f"{message_id} is settled")
