"""The keys that webhooks are signed with: one now, one that follows it at the next rotation. Pure."""

from __future__ import annotations

import base64
import secrets
from typing import NamedTuple

from shared.errors import SettingsError
from shared.settings import WebhooksSettings


class SigningKeys(NamedTuple):
    current: str
    next: str


def new_key() -> str:
    """192 random bits, as QStash writes its keys."""
    return "sig_" + secrets.token_urlsafe(24)


def secret_of(key: str) -> str:
    """A key as the libraries of Standard Webhooks take it."""
    return "whsec_" + base64.b64encode(key.encode()).decode()


def check_signing_keys(settings: WebhooksSettings) -> None:
    """Raises ``SettingsError`` where one of the two is missing."""
    given = {"Webhooks.CurrentSigningKey": settings.current_signing_key, "Webhooks.NextSigningKey": settings.next_signing_key}
    missing = [key for key, value in given.items() if value is None]
    if len(missing) == 1:
        raise SettingsError(missing[0], None, "expected both signing keys, or neither")
