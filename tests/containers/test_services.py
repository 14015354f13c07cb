"""The running services, met over HTTP and no other way: they may hold messages of somebody."""

from __future__ import annotations

import os
from secrets import token_hex

import pytest

from tests.containers.api import call, ended, schedule_echo

VARIABLE = "SERVICES_URL"


@pytest.fixture
def services_url() -> str:
    """The producer of the running services; compose's ``test`` service names it."""
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"{VARIABLE} names no running producer")
    return url.rstrip("/")


async def test_the_running_services_deliver_an_echo(services_url: str) -> None:
    """A message scheduled on the running producer is delivered by the running workers, not before its time."""
    status, ready = await call("GET", f"{services_url}/health/ready")
    assert (status, ready["status"]) == (200, "ok")

    message_id = await schedule_echo(services_url, f"test {token_hex(4)}", 500)

    message = await ended(services_url, message_id)
    assert message["status"] == "delivered"
    assert message["attempts"] == 1
    assert message["lateness_ms"] >= 0


async def test_a_cancelled_message_is_not_delivered(services_url: str) -> None:
    """A message that is cancelled before its time stays so."""
    message_id = await schedule_echo(services_url, f"test {token_hex(4)}", 60_000)

    status, _ = await call("DELETE", f"{services_url}/messages/{message_id}")

    assert status == 200
    assert (await ended(services_url, message_id))["status"] == "cancelled"
