"""The keys that webhooks are signed with: those of the settings, or made once and kept in Redis; and their rotation."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from shared.errors import Outage
from shared.settings import WebhooksSettings
from shared.signing import SigningKeys, new_key
from shared.store import webhook_fields
from shared.store.partition import Store

FIELD = "signing"
PUT_TRIES = 20


class _Stored(msgspec.Struct, frozen=True):
    current: str
    next: str
    settings: str = ""
    """The digest of the pair of the settings when these were kept; empty where they named none."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


async def get(store: Store) -> SigningKeys:
    """Makes them where there are none. Raises ``Outage``."""
    found = keys_of(store.settings.webhooks, await webhook_fields.read(store, FIELD))
    if found is not None:
        return found
    made = _Stored(new_key(), new_key())
    other = await webhook_fields.put(store, FIELD, b"", _encode(made))
    stored = made if other is None else _decode(other)
    return SigningKeys(stored.current, stored.next)


def keys_of(settings: WebhooksSettings, stored: bytes) -> SigningKeys | None:
    """Those that hold: Redis's, as long as the settings say what they said when those were kept; else those of the settings."""
    kept = _decode(stored) if stored else None
    if kept is not None and kept.settings == _digest(settings):
        return SigningKeys(kept.current, kept.next)
    if settings.current_signing_key is not None and settings.next_signing_key is not None:
        return SigningKeys(settings.current_signing_key, settings.next_signing_key)
    return SigningKeys(kept.current, kept.next) if kept is not None else None


def _digest(settings: WebhooksSettings) -> str:
    if settings.current_signing_key is None or settings.next_signing_key is None:
        return ""
    return sha256(f"{settings.current_signing_key} {settings.next_signing_key}".encode()).hexdigest()


async def rotate(store: Store) -> SigningKeys:
    """The next key becomes the current one, and a new one the next. Raises ``Outage``.

    Rotations at once follow each other: the next key that a caller is told is the current one of the rotation after its own.
    """
    made, digest = new_key(), _digest(store.settings.webhooks)
    for _ in range(PUT_TRIES):
        stored = await webhook_fields.read(store, FIELD)
        before = keys_of(store.settings.webhooks, stored) or await get(store)
        after = _Stored(before.next, made, digest)
        if await webhook_fields.put(store, FIELD, stored, _encode(after)) is None:
            return SigningKeys(after.current, after.next)
    raise Outage("busy", "the signing keys are being rotated by others")
