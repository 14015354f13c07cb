"""``rediss://``: an encrypted way to Redis that trusts only whom it should."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from shared.errors import Outage
from shared.settings import RedisSettings, Settings
from shared.store import messages
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.outage import outage_of
from shared.store.partition import Store
from tests.support.tls import Authority, tls_in_front

SECRET = "pa55-w0rd"
HERE = "127.0.0.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Opened:
    """A store at a port of loopback, over TLS with some options, with a password that nobody may read."""

    def __init__(self, settings: Settings, port: int, options: str = "", user: str = "") -> None:
        url = f"rediss://{user}{HERE}:{port}/0?{options}".removesuffix("?")
        redis = RedisSettings(connection_string=url, key_prefix=settings.redis.key_prefix, timeout_ms=2000)
        self.store = Store(msgspec.structs.replace(settings, redis=redis), "test")

    async def refusal(self) -> Outage:
        with pytest.raises(Outage) as caught:
            await self.store.synchronise()
        await self.store.close()
        return caught.value


@pytest.mark.leaves("due:")
async def test_with_the_authority_that_it_trusts_the_store_works(
    settings: Settings, redis: Redis, authority: Authority, server_url: str
) -> None:
    """A message goes in and is found, through a front that speaks nothing but TLS."""
    async with tls_in_front(server_url, authority.server(HERE)) as front:
        store = Opened(settings, front, f"ssl_ca_certs={authority.file}").store

        accepted = await schedule(store, [Draft("echo", "text", b"x", delay_ms=3_600_000)])

        assert (await messages.get(store, accepted.ids[0])).status == "scheduled"
        await store.close()


@pytest.mark.parametrize("options", ["", "ssl_ca_certs={other}"])
async def test_a_server_of_another_authority_is_refused(
    settings: Settings, authority: Authority, server_url: str, tmp_path: Path, options: str
) -> None:
    """An outage that says that the certificate is not believed and where to look, and tells no password."""
    other = Authority(tmp_path, "other")
    async with tls_in_front(server_url, authority.server(HERE)) as front:
        refusal = await Opened(settings, front, options.format(other=other.file), f"mss:{SECRET}@").refusal()

    assert refusal.kind == "tls"
    assert "certificate verify failed: unable to get local issuer certificate" in str(refusal)
    assert "ssl_ options in Redis.ConnectionString" in str(refusal)
    assert SECRET not in str(refusal)


async def test_a_server_of_another_name_is_refused(settings: Settings, authority: Authority, server_url: str) -> None:
    """A certificate of a trusted authority for somebody else is none for this host; who asks for no check gets none."""
    async with tls_in_front(server_url, authority.server("redis.example.com")) as front:
        trusted = f"ssl_ca_certs={authority.file}"
        refusal = await Opened(settings, front, trusted, f"mss:{SECRET}@").refusal()
        unchecked = Opened(settings, front, f"{trusted}&ssl_check_hostname=false").store
        await unchecked.synchronise()
        await unchecked.close()

    assert refusal.kind == "tls"
    assert f"certificate is not valid for '{HERE}'" in str(refusal)
    assert SECRET not in str(refusal)


async def test_a_server_that_asks_for_a_certificate_gets_it(settings: Settings, authority: Authority, server_url: str) -> None:
    """``ssl_certfile`` is shown; a client that has none is refused by the server."""
    async with tls_in_front(server_url, authority.server_that_asks(HERE)) as front:
        trusted = f"ssl_ca_certs={authority.file}"
        shown = Opened(settings, front, f"{trusted}&ssl_certfile={authority.client_file()}").store
        await shown.synchronise()
        await shown.close()

        refusal = await Opened(settings, front, trusted).refusal()

    assert refusal.kind in {"tls", "connection"}, "as the alert comes before or with the end of the connection"


async def test_a_plain_connection_to_a_server_with_tls_is_an_outage(
    authority: Authority, settings: Settings, server_url: str
) -> None:
    """``redis://`` where ``rediss://`` was meant: nothing hangs."""
    async with tls_in_front(server_url, authority.server(HERE)) as front:
        redis = RedisSettings(connection_string=f"redis://mss:{SECRET}@{HERE}:{front}", timeout_ms=1000)
        store = Store(msgspec.structs.replace(settings, redis=redis), "test")
        with pytest.raises(Outage) as caught:
            await store.synchronise()
        await store.close()

    assert SECRET not in str(caught.value)


def test_what_goes_wrong_below_the_library_is_told_too() -> None:
    """An error of TLS in the middle of a connection comes as the system's own."""
    outage = outage_of(ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed"))

    assert outage is not None
    assert outage.kind == "tls"
