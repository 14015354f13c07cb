"""API keys: how they are made and told apart. A key is shown once, when it is made; what is kept is its hash.

``mss_<name>_<43 characters>``: the characters are 256 random bits in URL-safe base 64 (RFC 4648). SHA-256 is enough for
them: a slow, salted hash protects what people choose, which can be guessed; nobody guesses 256 random bits, however fast
each guess is. So a key is checked in microseconds, and a flood of wrong ones costs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from secrets import token_urlsafe

from shared.settings import ApiKeySettings

RANDOM_BYTES = 32
LONGEST_KEY = 256


def make_key(name: str) -> tuple[str, str]:
    """A new key and its hash, as ``Auth.Keys`` takes it."""
    key = f"mss_{name}_{token_urlsafe(RANDOM_BYTES)}"
    return key, hash_of(key)


def hash_of(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()}"


def key_of(given: str, keys: Sequence[ApiKeySettings]) -> ApiKeySettings | None:
    """The one of ``keys`` that was given. Each is compared, in constant time, so that the time tells nothing of any."""
    given_hash, found = hash_of(given[:LONGEST_KEY]), None
    for key in keys:
        if hmac.compare_digest(given_hash, key.hash):
            found = key
    return found
