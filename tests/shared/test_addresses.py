"""addresses.py, by the registries of special-purpose addresses, on whichever version of Python."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from shared.addresses import address_of, is_public

NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29",
    "192.0.0.8/32", "192.0.0.170/31", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32",
    "::/128", "::1/128", "::/96", "::ffff:0:0/104", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32",
    "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip
"""https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry; multicast, site-local and the parts
of IPv6 that are not for unicast besides; and an address of a cloud."""
PUBLIC = (
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
    "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255",
    "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.114.0", "223.255.255.255", "168.63.129.15",
    "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700:4700::1111", "3ffe:ffff::", "3fff:1000::",
    "::ffff:8.8.8.8", "64:ff9b::808:808",
)  # fmt: skip
"""What lies beside them, and what is registered but globally reachable (AS112, AMT)."""


@pytest.mark.parametrize("block", NOT_PUBLIC)
def test_no_address_of_a_special_block_is_public(block: str) -> None:
    """From its first to its last."""
    network = ip_network(block)

    assert [str(one) for one in (network[0], network[network.num_addresses // 2], network[-1]) if is_public(one)] == []


@pytest.mark.parametrize("text", PUBLIC)
def test_what_lies_beside_them_is_public(text: str) -> None:
    """Not one address too many is refused."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "224.0.0.1"])
@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}", "::{}", "::ffff:0:{}", "64:ff9b:1::{}"])
def test_an_address_inside_another_is_judged_too(inner: str, form: str) -> None:
    """However it is carried."""
    assert not is_public(IPv6Address(form.format(inner)))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"), ("127.1", "127.0.0.1"), ("127.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"), ("0", "0.0.0.0"), ("0x", "0.0.0.0"), ("1.65535", "1.0.255.255"),
        ("127.0.0.1.", "127.0.0.1"), ("0xffffffff", "255.255.255.255"), ("010.8.8.8", "8.8.8.8"),
    ],
)  # fmt: skip
def test_old_notations_are_read_as_resolvers_read_them(host: str, address: str) -> None:
    """The last number fills the bytes that are left."""
    assert address_of(host) == IPv4Address(address)


@pytest.mark.parametrize("host", ["256.1", "1.2.3.256", "1.16777216", "4294967296", "08.1.1.1", "0x100000000"])
def test_a_number_that_is_too_large_is_no_address(host: str) -> None:
    """Some programs cut it off, and reach another."""
    with pytest.raises(ValueError, match="expected the name or the address of a host"):
        address_of(host)


@pytest.mark.parametrize("host", ["example.com", "1.2.3.4.5", "", "a.1", "127.0.0.1.example.com", "0x7g"])
def test_a_name_is_no_address(host: str) -> None:
    """What it is resolved to is judged later."""
    assert address_of(host) is None
