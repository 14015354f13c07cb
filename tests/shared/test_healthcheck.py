"""The container's health check, run as Docker runs it, against a service's own probe."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.healthcheck import addresses
from shared.probe import Probe
from shared.settings import ProducerSettings, Settings

ROOT = Path(__file__).parents[2]
PORTS = ("Producer__Port", "Dispatcher__Port", "Consumers__Port")


async def check(**ports: int) -> tuple[int, str]:
    """Exit code and output in a container whose services have these ports; nobody listens on the others."""
    with ExitStack() as held:
        closed = {name: _closed_port(held) for name in PORTS}
        environment = {name: value for name, value in os.environ.items() if "__" not in name}
        environment |= {name: str(port) for name, port in (closed | ports).items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shared.healthcheck", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def _closed_port(held: ExitStack) -> int:
    """Bound, so that nobody else gets it, and refusing whoever connects."""
    bound = held.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    port: int = bound.getsockname()[1]
    return port


@asynccontextmanager
async def probe(health: Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]) -> AsyncIterator[int]:
    """The port of a service that says this of itself."""
    served = Probe("127.0.0.1", 0, explicit=True, key="Test.Port", health=health)
    await served.start()
    yield served.port
    await served.stop()


@pytest.mark.parametrize("service", PORTS)
async def test_a_ready_service_is_healthy(service: str) -> None:
    """Whichever of the three it is."""

    async def health() -> tuple[bool, dict[str, Any]]:
        return True, {"reasons": []}

    async with probe(health) as port:
        assert await check(**{service: port}) == (0, '{"status": "ok", "reasons": []}\n')


@pytest.mark.parametrize("service", PORTS)
async def test_an_unready_service_is_unhealthy_and_says_why(service: str) -> None:
    """``docker inspect`` shows the reason."""

    async def health() -> tuple[bool, dict[str, Any]]:
        return False, {"reasons": ["Redis does not answer"]}

    async with probe(health) as port:
        code, output = await check(**{service: port})

    assert code == 1
    assert "Redis does not answer" in output


async def test_a_container_in_which_nobody_listens_is_unhealthy() -> None:
    """A service that hangs before it listens, or has ended, is not taken for healthy."""
    assert await check() == (1, "no service listens\n")


async def test_what_listens_and_does_not_answer_in_time_is_unhealthy() -> None:
    """A blocked process accepts connections (its kernel does) and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, output = await check(Producer__Port=silent.getsockname()[1])

    assert code == 1
    assert "TimeoutError" in output


def test_a_service_on_every_address_is_asked_on_loopback() -> None:
    """In a container the producer listens on 0.0.0.0, which is no address to connect to everywhere."""
    assert addresses(Settings(producer=ProducerSettings(host="0.0.0.0")))[0] == ("127.0.0.1", 3000)
