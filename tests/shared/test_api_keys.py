"""Making API keys and telling them apart."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest

from shared.api_keys import hash_of, key_of, make_key
from shared.settings import ApiKeySettings


def entry(name: str, key_hash: str) -> ApiKeySettings:
    return ApiKeySettings(name=name, hash=key_hash, scopes=("read",))


def test_a_key_is_256_random_bits_and_tells_its_name() -> None:
    """Who finds one knows which it is; no two are alike; its hash is plain SHA-256 of the whole."""
    made = [make_key("billing") for _ in range(100)]

    assert all(re.fullmatch(r"mss_billing_[A-Za-z0-9_-]{43}", key) for key, _ in made)
    assert len({key for key, _ in made}) == 100
    assert all(key_hash == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" for key, key_hash in made)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_of_several_keys_is_found(place: int) -> None:
    """Old and new are valid together while callers move from one to the other."""
    made = [make_key(f"k{number}") for number in range(3)]
    keys = [entry(f"k{number}", key_hash) for number, (_, key_hash) in enumerate(made)]

    found = key_of(made[place][0], keys)

    assert found is keys[place]


def test_every_key_is_compared_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the number of equal digits nor the place of the right key shows in the time that it takes."""
    made = [make_key(f"k{number}") for number in range(3)]
    keys = [entry(f"k{number}", key_hash) for number, (_, key_hash) in enumerate(made)]
    compared: list[str] = []
    compare = hmac.compare_digest

    def noting(given: str, known: str) -> bool:
        compared.append(known)
        return compare(given, known)

    monkeypatch.setattr(hmac, "compare_digest", noting)

    assert key_of(made[0][0], keys) is keys[0]
    assert compared == [key.hash for key in keys]


@pytest.mark.parametrize("change", [lambda key: key[:-1], lambda key: key + "x", str.upper, lambda _: "", lambda key: key * 1000])
def test_what_is_not_exactly_a_key_is_none(change: object) -> None:
    """Nothing is cut, padded or folded; a hash is no key either."""
    key, key_hash = make_key("a")
    assert callable(change)

    assert key_of(key, [entry("a", key_hash)]) is not None
    assert key_of(change(key), [entry("a", key_hash)]) is None
    assert key_of(key_hash, [entry("a", key_hash)]) is None
    assert key_of(key, []) is None


def test_bytes_that_are_no_text_are_hashed_like_any_other() -> None:
    """A header may hold what is not UTF-8; aiohttp hands it on as lone surrogates."""
    assert hash_of("\udcff") == f"sha256:{hashlib.sha256(bytes([255])).hexdigest()}"
