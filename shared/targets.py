"""Where webhooks may be sent: schemes, ports, and addresses that are public or that the settings open. Pure: resolves no name.

A URL is taken apart here by one narrow pattern, so that no other program can read another host out of it.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import SplitResult, urlsplit

from shared.addresses import NO_HOST, Address, address_of, bracketed, is_public
from shared.errors import SettingsError
from shared.settings import WebhooksSettings

Network = IPv4Network | IPv6Network
LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
LONGEST = 2_048
HIGHEST_PORT = 65_535
DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_AUTHORITY = re.compile(r"(\[(?P<bracketed>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(:(?P<port>[0-9]*))?")
_JOINERS = "\u200c\u200d"
"""Names in some scripts have them (RFC 5892)."""
_NAME = re.compile(
    r"(?=.{1,253}$)([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.?"
)
_ENDS_IN_NUMBER = re.compile(r"(^|\.)(\d+|0[xX][0-9a-fA-F]*)\.?$")
"""Such a host is an address or nothing (https://url.spec.whatwg.org/#ends-in-a-number-checker)."""


class Targets:
    def __init__(self, settings: WebhooksSettings) -> None:
        """Raises ``SettingsError`` for a network or a port that is none."""
        self._schemes = settings.allowed_schemes
        self._ports = tuple(_ports(text) for text in settings.allowed_ports)
        self._networks = tuple(_network(text) for text in settings.allowed_networks)

    def check(self, url: str) -> None:
        """Raises ``ValueError`` with what was expected. What its name is resolved to is judged when a connection is made."""
        if len(url) > LONGEST:
            raise ValueError(f"expected at most {LONGEST} characters")
        if _FORBIDDEN.search(url):
            raise ValueError("expected a URL without spaces, control characters and backslashes")
        parts = _split(url)
        if parts.scheme not in self._schemes:
            raise ValueError(f"expected a URL of {' or '.join(self._schemes)}, such as https://example.com/hook")
        if "@" in parts.netloc:
            raise ValueError("expected a URL without user name and password")
        authority = _AUTHORITY.fullmatch(parts.netloc)
        if authority is None:
            raise ValueError(f"{NO_HOST}, and no port or one from 1 to {HIGHEST_PORT}")
        self._check_port(authority["port"] or "", parts.scheme)
        self._check_host(authority["name"], authority["bracketed"])

    def _check_port(self, written: str, scheme: str) -> None:
        port = int(written) if written else DEFAULT_PORTS[scheme]
        if not 1 <= port <= HIGHEST_PORT:
            raise ValueError(f"expected a port from 1 to {HIGHEST_PORT}")
        if not any(first <= port <= last for first, last in self._ports):
            raise ValueError(f"port {port} is not among those that may be reached (Webhooks.AllowedPorts)")

    def _check_host(self, name: str | None, in_brackets: str | None) -> None:
        host = "" if name is None else _plain(name)
        address = address_of(host) if in_brackets is None else bracketed(in_brackets)
        if address is not None:
            if not self.permits(address):
                raise ValueError(f"{address} is no public address (Webhooks.AllowedNetworks opens others)")
        elif not _NAME.fullmatch(host) or _ENDS_IN_NUMBER.search(host):
            raise ValueError(NO_HOST)
        elif _is_local(host) and not any(self.permits(loopback) for loopback in LOOPBACK):
            raise ValueError("localhost is no public address (Webhooks.AllowedNetworks opens others)")

    def permits(self, address: Address) -> bool:
        """Whether a connection to it may be made."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            return self.permits(address.ipv4_mapped)
        if any(address in network for network in self._networks if network.version == address.version):
            return True
        return is_public(address)


def _is_local(name: str) -> bool:
    """RFC 6761."""
    return f".{name}".rstrip(".").endswith(".localhost")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ValueError(f"expected a URL such as https://example.com/hook: {error}") from None


def _plain(host: str) -> str:
    """As a resolver reads it: full-width letters, digits and dots are those of ASCII."""
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower()
    if host.isascii():
        return host
    if any(unicodedata.category(one) == "Cf" and one not in _JOINERS for one in host):
        raise ValueError(NO_HOST)  # nobody sees them: some programs leave them out, and others refuse them
    if host.rstrip(".").rpartition(".")[2].isdecimal():
        raise ValueError(NO_HOST)  # digits of another script: some programs take them for those of ASCII
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise ValueError(NO_HOST) from None


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise SettingsError("Webhooks.AllowedNetworks", text, f"expected networks such as 10.1.0.0/16: {error}") from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        expected = "expected the network of IPv4 itself, such as 10.1.0.0/16: it holds for IPv4-mapped addresses too"
        raise SettingsError("Webhooks.AllowedNetworks", text, expected)
    return network


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    found = int(first), int(last or first)
    if not 1 <= found[0] <= found[1] <= HIGHEST_PORT:
        raise SettingsError("Webhooks.AllowedPorts", text, "expected ports from 1 to 65535, the lower end of a range first")
    return found
