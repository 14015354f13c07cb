"""targets.py."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from shared.errors import SettingsError
from shared.settings import WebhooksSettings
from shared.targets import Targets
from tests.shared import ssrf_notations

USUAL = Targets(WebhooksSettings())
OPEN = Targets(WebhooksSettings(allowed_networks=("127.0.0.0/8", "::1/128", "10.2.0.0/16"), allowed_ports=("1-65535",)))


@pytest.mark.parametrize("url", ssrf_notations.REFUSED)
def test_every_notation_of_a_forbidden_target_is_refused(url: str) -> None:
    """Whatever the list knows, before anything is sent."""
    with pytest.raises(ValueError, match=r"expected|public|may be reached"):
        USUAL.check(url)


@pytest.mark.parametrize("url", ssrf_notations.NAMES)
def test_a_name_is_judged_when_it_is_resolved(url: str) -> None:
    """As a name it is fine; what it stands for is not."""
    USUAL.check(url)

    assert not USUAL.permits(ip_address(ssrf_notations.NAMES[url].partition("%")[0]))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "http://example.com/a?b=c#d", "https://example.com:8443/", "https://EXAMPLE.com./x", "http://8.8.8.8/",
        "http://134744072/", "http://[2606:4700:4700::1111]/", "https://bücher.example/", "https://a_b.example/", "http://1.1/",
        "https://example.com/%20?url=http://127.0.0.1/", "https://xn--bcher-kva.example/", "http://[64:ff9b::8.8.8.8]/",
        "https://example.com:/", "https://example.com:0443/", "http://0x08080808/", "http://010.010.010.010/", "http://[2606:4700::1]:80/",
        "http://168.63.129.17/", "https://example.com/#@127.0.0.1/", "https://example.com/?@127.0.0.1/", "https://ex\uff0eample.com/",
    ],
)  # fmt: skip
def test_what_is_public_is_taken(url: str) -> None:
    """Names, addresses in any notation, ports that are open."""
    USUAL.check(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:3000/", "http://localhost/", "http://[::1]:9/", "http://2130706433/", "http://[::ffff:10.2.3.4]/"]
)
def test_networks_of_the_settings_are_open(url: str) -> None:
    """In every notation as well; their neighbours stay closed."""
    OPEN.check(url)
    for other in ("http://10.3.0.1/", "http://[::2]/", "http://169.254.169.254/"):
        with pytest.raises(ValueError, match="public"):
            OPEN.check(other)


def test_a_zone_goes_with_an_address_of_a_link_alone() -> None:
    """Where those are opened; elsewhere it means nothing, and programs differ in what they make of it."""
    of_links = Targets(WebhooksSettings(allowed_networks=("fe80::/10", "::1/128")))

    of_links.check("http://[fe80::1%25eth0]/")
    with pytest.raises(ValueError, match="without a zone"):
        of_links.check("http://[::1%25eth0]/")


def test_ports_and_schemes_are_those_of_the_settings() -> None:
    """A range has both its ends; a scheme that is not named is refused."""
    some = Targets(WebhooksSettings(allowed_ports=("9000-9002",), allowed_schemes=("https",)))

    for port in (9000, 9002):
        some.check(f"https://example.com:{port}/")
    for url in ("https://example.com/", "https://example.com:9003/", "http://example.com:9000/"):
        with pytest.raises(ValueError, match=r"port 443|port 9003|https"):
            some.check(url)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (WebhooksSettings(allowed_networks=("10.0.0.1/8",)), "Webhooks.AllowedNetworks"),
        (WebhooksSettings(allowed_networks=("somewhere",)), "Webhooks.AllowedNetworks"),
        (WebhooksSettings(allowed_networks=("10.1.0.0/16", "::ffff:10.0.0.0/104")), "Webhooks.AllowedNetworks"),
        (WebhooksSettings(allowed_ports=("0",)), "Webhooks.AllowedPorts"),
        (WebhooksSettings(allowed_ports=("9-8",)), "Webhooks.AllowedPorts"),
        (WebhooksSettings(allowed_ports=("1-65536",)), "Webhooks.AllowedPorts"),
    ],
)
def test_networks_and_ports_that_are_none_are_refused_by_their_key(settings: WebhooksSettings, key: str) -> None:
    """Whoever wrote them is told which."""
    with pytest.raises(SettingsError, match=key):
        Targets(settings)
