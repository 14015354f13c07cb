"""Which addresses are public, and which address a host is, in whichever notation. Pure: resolves no name.

What is public is decided by the registries of special-purpose addresses (IANA, after RFC 6890), not by the version of Python. An
IPv6 address that stands for one of IPv4 (IPv4-mapped, NAT64) is judged by that one; 6to4, Teredo and IPv4-compatible addresses
are never public: they are of no use today, and a way round a filter.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address
NO_HOST = "expected the name or the address of a host"
_SPECIAL_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
"""https://www.iana.org/assignments/iana-ipv4-special-registry, multicast besides."""
_GLOBAL_V6 = ip_network("2000::/3")
"""All that is assigned for unicast in the internet; nothing else is public."""
_SPECIAL_V6 = ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
"""https://www.iana.org/assignments/iana-ipv6-special-registry, within it."""
_OF_CLOUDS = ("168.63.129.16/32",)
"""In no registry: Azure's WireServer, which hands each machine its certificates and settings."""
_SPECIAL = tuple(ip_network(text) for text in (*_SPECIAL_V4, *_SPECIAL_V6, *_OF_CLOUDS))
_NAT64 = ip_network("64:ff9b::/96")
"""RFC 6052. 64:ff9b:1::/48 (RFC 8215) is of local use, and it is not known where in it the other address lies."""
_NUMBERS = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?")
"""What resolvers take for an IPv4 address in one of its old notations (inet_aton)."""


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_V6:
            return False
    return not any(address in network for network in _SPECIAL if network.version == address.version)


def bracketed(text: str) -> IPv6Address:
    """What stands in the brackets of a URL. Raises ``ValueError``."""
    written, percent, _ = text.partition("%")
    try:
        address = IPv6Address(written)
    except ValueError:
        raise ValueError(NO_HOST) from None
    if percent and not address.is_link_local:
        raise ValueError("expected an address without a zone: only one of a link has one")
    return address


def address_of(host: str) -> IPv4Address | None:
    """The address that a host without brackets is, ``None`` where it is a name. Raises ``ValueError`` for a number too large.

    ``127.1``, ``0x7f000001``, ``0177.0.0.1``: the last number fills the bytes that are left.
    """
    if not _NUMBERS.fullmatch(host):
        return None
    numbers = [_number(text) for text in host.rstrip(".").split(".")]
    last = numbers.pop()
    if any(number > 255 for number in numbers) or last >= 256 ** (4 - len(numbers)):
        raise ValueError(NO_HOST)
    for position, number in enumerate(numbers):
        last += number << 8 * (3 - position)
    return IPv4Address(last)


def _number(text: str) -> int:
    try:
        if text[:2] in {"0x", "0X"}:
            return int(text[2:] or "0", 16)
        return int(text, 8) if text[0] == "0" else int(text)
    except ValueError:
        raise ValueError(NO_HOST) from None
