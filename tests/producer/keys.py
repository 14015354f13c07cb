"""Producers that ask for API keys, and the keys."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.api_keys import make_key
from shared.settings import ApiKeySettings, AuthSettings, Scope, Settings


class Keyring:
    """Makes keys and keeps them by name."""

    def __init__(self) -> None:
        self.settings: list[ApiKeySettings] = []
        self._keys: dict[str, str] = {}

    def make(self, name: str, *scopes: Scope, **limit: Any) -> str:
        self._keys[name], key_hash = make_key(name)
        self.settings.append(ApiKeySettings(name=name, hash=key_hash, scopes=scopes, **limit))
        return self._keys[name]

    def header(self, name: str) -> dict[str, str]:
        """What a caller with that key sends."""
        return {"Authorization": f"Bearer {self._keys[name]}"}

    def asked_for(self, settings: Settings, *, public_docs: bool = True) -> Settings:
        """The settings of a producer that knows these keys."""
        return msgspec.structs.replace(settings, auth=AuthSettings(keys=tuple(self.settings), public_docs=public_docs))
