"""``python -m cli key``: makes an API key. It is shown once; only its hash goes into the settings."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from shared.api_keys import make_key
from shared.settings import ApiKeySettings
from shared.settings_errors import explained
from shared.settings_file import check_keys


def key(name: str, scopes: str, rate_per_s: float | None, burst: int | None) -> int:
    """Prints the key to standard output, alone, and its entry for ``appsettings.json`` to standard error.

    Raises ``SettingsError`` where the settings would refuse the entry.
    """
    made, key_hash = make_key(name)
    entry: dict[str, Any] = {"Name": name, "Hash": key_hash, "Scopes": scopes.split(",")}
    entry |= {key: value for key, value in (("RatePerS", rate_per_s), ("Burst", burst)) if value is not None}
    try:
        check_keys([msgspec.convert(entry, ApiKeySettings)])
    except msgspec.ValidationError as error:
        raise explained(str(error).replace("`$.", "`$.Auth.Keys[0]."), {}) from None
    sys.stderr.write("The key, which is shown this once; send it as `Authorization: Bearer <key>`:\n\n")
    sys.stderr.flush()
    print(made, flush=True)
    sys.stderr.write(f"\nIts entry for Auth.Keys in appsettings.json:\n\n{json.dumps(entry)}\n")
    return 0
