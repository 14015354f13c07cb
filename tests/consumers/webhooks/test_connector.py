"""connector.py, with names that say what a test lets them say."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from consumers.webhooks.connector import guarded_connector, refusal_in
from shared.settings import WebhooksSettings
from shared.targets import Targets
from tests.shared.ssrf_notations import LOOPBACK, METADATA, NAMES, PRIVATE, SPECIAL

CLOSED = WebhooksSettings(allowed_ports=("1-65535",))
SEEN = web.AppKey("seen", list[str])
OPEN = WebhooksSettings(allowed_ports=("1-65535",), allowed_networks=("127.0.0.0/8",))


class Names(AbstractResolver):
    """Says the addresses of each look-up in turn, and then the last of them."""

    def __init__(self, *said: tuple[str, ...]) -> None:
        self._said = list(said)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Of whichever family."""
        del family
        addresses = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=_family(one), proto=0, flags=socket.AI_NUMERICHOST)
            for one in addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with _serving("127.0.0.1") as made:
        yield made


@pytest.fixture
async def other_server() -> AsyncIterator[TestServer]:
    """On another address of this machine, which stands for a public one."""
    async with _serving("127.0.0.2") as made:
        yield made


@asynccontextmanager
async def _serving(host: str) -> AsyncIterator[TestServer]:
    async def answer(request: web.Request) -> web.Response:
        request.app[SEEN].append(request.path_qs)
        return web.Response(text="here")

    app = web.Application()
    app[SEEN] = []
    app.router.add_get("/", answer)
    made = TestServer(app, host=host)
    await made.start_server()
    yield made
    await made.close()


async def _get(url: str, settings: WebhooksSettings, names: Names | None = None) -> str:
    connector = guarded_connector(Targets(settings), settings, names)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
        async with session.get(url) as response:
            return await response.text()


async def _refusal(url: str, settings: WebhooksSettings, names: Names | None = None) -> str:
    with pytest.raises(aiohttp.ClientError) as refused:
        await _get(url, settings, names)
    return refusal_in(refused.value) or ""


@pytest.mark.parametrize("url", NAMES)
async def test_a_name_of_a_forbidden_address_is_not_connected_to(url: str) -> None:
    """The error says which address it is."""
    assert NAMES[url] in await _refusal(url, CLOSED, Names((NAMES[url],)))


async def test_an_address_is_judged_though_no_name_was_resolved(server: TestServer) -> None:
    """The client resolves none then; the socket is not made."""
    assert "127.0.0.1 is no public address" in await _refusal(f"http://127.0.0.1:{server.port}/", CLOSED)


@pytest.mark.parametrize("later", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
async def test_a_name_that_says_another_address_later_is_refused_then(other_server: TestServer, later: str) -> None:
    """DNS rebinding: it was permitted, and delivered to; what it says at each connection is judged anew."""
    one_host = WebhooksSettings(allowed_ports=("1-65535",), allowed_networks=(f"{other_server.host}/32",))
    connector = guarded_connector(Targets(one_host), one_host, Names((other_server.host,), (later,)))
    url = f"http://rebinding.example:{other_server.port}/"

    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
        async with session.get(url, headers={"Connection": "close"}) as response:
            assert await response.text() == "here"
        connector.clear_dns_cache()  # as it is after some seconds
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get(url)

    assert later in (refusal_in(refused.value) or "")


@pytest.mark.parametrize("url", [one for one in (*LOOPBACK, *PRIVATE, *METADATA, *SPECIAL) if one.isascii()])
async def test_no_notation_is_connected_to_where_nobody_checked_it(url: str) -> None:
    """The last line: an address is refused in whatever way it was written, or it is the address of nothing."""
    with pytest.raises((aiohttp.ClientError, ValueError)) as refused:
        await _get(url, CLOSED, Names(("127.0.0.1",)))

    assert isinstance(refused.value, aiohttp.InvalidURL | ValueError) or refusal_in(refused.value) is not None


async def test_a_fragment_is_not_sent(server: TestServer) -> None:
    """It is for whoever holds the URL."""
    assert await _get(f"http://127.0.0.1:{server.port}/?a=b#secret", OPEN) == "here"
    assert [str(one) for one in server.app[SEEN]] == ["/?a=b"]


async def test_of_several_addresses_only_permitted_ones_are_tried(server: TestServer) -> None:
    """A name that has both is reached where it may be."""
    names = Names(("10.0.0.1", "169.254.169.254", "127.0.0.1"))

    assert await _get(f"http://both.example:{server.port}/", OPEN, names) == "here"


async def test_an_open_network_is_reached(server: TestServer) -> None:
    """By address and by name."""
    assert await _get(f"http://127.0.0.1:{server.port}/", OPEN) == "here"
    assert await _get(f"http://localhost:{server.port}/", OPEN, Names(("127.0.0.1",))) == "here"


async def test_other_errors_are_no_refusals(unused_tcp_port_factory: Callable[[], int]) -> None:
    """Nobody listens there: that may be another time."""
    assert await _refusal(f"http://127.0.0.1:{unused_tcp_port_factory()}/", OPEN) == ""
