"""What a callback tells, in a form that is easy to compare."""

from __future__ import annotations

import base64
from typing import Any

from tests.support.receiver import Arrival


def told_in(arrival: Arrival) -> dict[str, Any]:
    """The body of a callback, its bodies decoded, its times as numbers and each of its headers by one name in small letters."""
    told: dict[str, Any] = arrival.json()
    return {
        **told,
        "body": base64.b64decode(told.get("body", "")),
        "sourceBody": base64.b64decode(told.get("sourceBody", "")),
        "createdAt": int(told["createdAt"]),
        "notBefore": int(told["notBefore"]),
        "header": {name.lower(): _first(value) for name, value in told["header"].items()},
        "sourceHeader": {name.lower(): _first(value) for name, value in told["sourceHeader"].items()},
    }


def _first(value: str | list[str]) -> str:
    return value if isinstance(value, str) else value[0]
