"""The connection strings that name several servers: sentinels, nodes of a cluster."""

from __future__ import annotations

import pytest

from shared.errors import SettingsError
from shared.store.address import Address, describe_address, parse_address

SECRET = "pa55-w0rd"


@pytest.mark.parametrize(
    ("connection_string", "expected"),
    [
        (
            "redis+sentinel://a,b:7/mymaster",
            Address("redis://a:26379/", "redis+sentinel://a,b:7/mymaster", "sentinel", (("a", 26379), ("b", 7)), "mymaster"),
        ),
        (
            f"rediss+sentinel://me:{SECRET}@a/m.1/3?ssl_cert_reqs=none&sentinel_username=s&sentinel_password={SECRET}",
            Address(
                f"rediss://me:{SECRET}@a:26379/3?ssl_cert_reqs=none",
                "rediss+sentinel://a/m.1/3",
                "sentinel",
                (("a", 26379),),
                "m.1",
                ("s", SECRET),
            ),
        ),
        (
            "redis+cluster://[::1]:7000,[::2],c",
            Address(
                "redis://[::1]:7000/",
                "redis+cluster://[::1]:7000,[::2],c",
                "cluster",
                (("::1", 7000), ("::2", 6379), ("c", 6379)),
            ),
        ),
        (
            f"rediss+cluster://:{SECRET}@a:1/?ssl_check_hostname=false",
            Address(f"rediss://:{SECRET}@a:1/?ssl_check_hostname=false", "rediss+cluster://a:1/", "cluster", (("a", 1),)),
        ),
    ],
)
def test_every_form_of_several_is_understood_and_shown_without_its_secrets(connection_string: str, expected: Address) -> None:
    """Who can be asked, whom for, and what the connections behind them are made with."""
    assert parse_address(connection_string) == expected
    assert SECRET not in describe_address(connection_string)


@pytest.mark.parametrize(
    ("connection_string", "expected"),
    [
        (f"redis+sentinel://me:{SECRET}@a,b", "expected the master's name"),
        ("redis+sentinel://a/", "expected the master's name"),
        ("redis+sentinel://a/m/x", "expected the master's name"),
        ("redis+sentinel://a/m/0/1", "expected the master's name"),
        ("redis+sentinel://a/my master", "expected the master's name"),
        ("redis+sentinel://a:0/m", "expected host, host:port"),
        ("redis+sentinel://a:65536/m", "expected host, host:port"),
        ("redis+sentinel://a,,b/m", "expected host, host:port"),
        ("redis+sentinel:///m", "expected host, host:port"),
        (f"redis+sentinel://me:{SECRET}@a@b/m", "expected host, host:port"),
        (f"redis+sentinel://me:{SECRET}/x@a/m", "expected host, host:port"),
        ("redis+sentinel://a/m#x", "expected host, host:port"),
        ("redis+sentinel://a/m?timeout=1", "expected only db"),
        ("redis+sentinel://a/m?ssl_cert_reqs=none", "expected rediss"),
        ("redis+cluster://a/0", "expected no database"),
        ("redis+cluster://a?db=0", "expected no database"),
        (f"redis+cluster://a?sentinel_password={SECRET}", "expected only db"),
        ("redis+other://a", "expected host, host:port"),
        ("unix+cluster://a", "expected host, host:port"),
    ],
)
def test_a_bad_form_of_several_is_refused_without_telling_it(connection_string: str, expected: str) -> None:
    """The error names the setting and what was expected; a password in it stays secret."""
    with pytest.raises(SettingsError, match=r"Redis\.ConnectionString = ") as caught:
        parse_address(connection_string)

    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None
