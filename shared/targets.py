"""Where webhooks may be sent: schemes, ports, and addresses that are public or that the settings open. Pure: resolves no name.

What is public is decided by the registries of special-purpose addresses (IANA, after RFC 6890), not by the version of Python. An
address that carries another one (IPv4-mapped and -compatible, NAT64, 6to4, Teredo) is judged by that as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from shared.errors import SettingsError
from shared.settings import WebhooksSettings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
LONGEST = 2_048
HIGHEST_PORT = 65_535
DEFAULT_PORTS = {"http": 80, "https": 443}
_SPECIAL_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
"""https://www.iana.org/assignments/iana-ipv4-special-registry, multicast besides."""
_GLOBAL_V6 = ip_network("2000::/3")
"""All that is assigned for unicast in the internet; nothing else is public."""
_SPECIAL_V6 = ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16")
"""https://www.iana.org/assignments/iana-ipv6-special-registry, within it."""
_SPECIAL = tuple(ip_network(text) for text in (*_SPECIAL_V4, *_SPECIAL_V6))
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ip_network("::/96")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_NUMBERS = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?")
"""What resolvers take for an IPv4 address in one of its old notations (inet_aton)."""
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
        self._check_port(parts)
        self._check_host(parts.hostname or "")

    def _check_port(self, parts: SplitResult) -> None:
        try:
            port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
        except ValueError:
            raise ValueError("expected a port from 1 to 65535") from None
        if not any(first <= port <= last for first, last in self._ports):
            raise ValueError(f"port {port} is not among those that may be reached (Webhooks.AllowedPorts)")

    def _check_host(self, written: str) -> None:
        host = _plain(written)
        address = _address(host)
        if address is not None:
            if not self.permits(address):
                raise ValueError(f"{address} is no public address (Webhooks.AllowedNetworks opens others)")
        elif not _NAME.fullmatch(host) or _ENDS_IN_NUMBER.search(host):
            raise ValueError("expected the name or the address of a host")
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


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        carried = list(_carried(address))
        if carried:
            return all(is_public(one) for one in carried) and not _is_tunnel(address)
        if address not in _GLOBAL_V6:
            return False
    return not any(address in network for network in _SPECIAL if network.version == address.version)


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that it stands for."""
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif any(address in network for network in _NAT64) or address in _COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo


def _is_tunnel(address: IPv6Address) -> bool:
    """Of no use today, and a way round a filter."""
    return address in _COMPATIBLE or address.sixtofour is not None or address.teredo is not None


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ValueError(f"expected a URL such as https://example.com/hook: {error}") from None


def _plain(host: str) -> str:
    """As a resolver reads it: full-width letters, digits and dots are those of ASCII."""
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower()
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("expected the name or the address of a host") from None


def _address(host: str) -> Address | None:
    """The address that a host is, in whichever notation; ``None`` where it is a name."""
    try:
        return ip_address(host.partition("%")[0].rstrip(".") if ":" not in host else host.partition("%")[0])
    except ValueError:
        return _old_address(host) if _NUMBERS.fullmatch(host) else None


def _old_address(host: str) -> IPv4Address:
    """``127.1``, ``0x7f000001``, ``0177.0.0.1``: the last number fills the bytes that are left. Raises ``ValueError``."""
    numbers = [_number(text) for text in host.rstrip(".").split(".")]
    last = numbers.pop()
    if any(number > 255 for number in numbers) or last >= 256 ** (4 - len(numbers)):
        raise ValueError("expected the name or the address of a host")
    for position, number in enumerate(numbers):
        last += number << 8 * (3 - position)
    return IPv4Address(last)


def _number(text: str) -> int:
    try:
        if text[:2] in {"0x", "0X"}:
            return int(text[2:] or "0", 16)
        return int(text, 8) if text[0] == "0" else int(text)
    except ValueError:
        raise ValueError("expected the name or the address of a host") from None


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsError("Webhooks.AllowedNetworks", text, f"expected networks such as 10.1.0.0/16: {error}") from None


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    found = int(first), int(last or first)
    if not 1 <= found[0] <= found[1] <= HIGHEST_PORT:
        raise SettingsError("Webhooks.AllowedPorts", text, "expected ports from 1 to 65535, the lower end of a range first")
    return found
