"""Headers that a QStash call sends on to the destination. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from producer.own_headers import is_own
from shared.errors import InvalidField

MOST, LONGEST = 50, 4_096
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[\x20-\x7e]*)?")


def forwarded(headers: Iterable[tuple[str, str]], prefix: str) -> dict[str, str]:
    """Those whose names have the prefix, without it; several of one name with commas between. Raises ``InvalidField``."""
    found: dict[str, str] = {}
    for name, value in headers:
        if not name.lower().startswith(prefix.lower()):
            continue
        own = name[len(prefix) :]
        if is_own(own):
            continue
        if not _NAME.fullmatch(own) or not _VALUE.fullmatch(value) or len(value) > LONGEST:
            raise InvalidField(
                f"{prefix}{own}"[:140], f"expected a header of at most {LONGEST} characters without control characters", 400
            )
        known = next((one for one in found if one.lower() == own.lower()), own)
        found[known] = f"{found[known]}, {value}" if known in found else value
    if len(found) > MOST:
        raise InvalidField(f"{prefix}*", f"expected at most {MOST} headers", 400)
    return found


def content_type_of(text: str | None) -> str | None:
    """Raises ``InvalidField``."""
    if text is None or not text.strip():
        return None
    if not _MEDIA_TYPE.fullmatch(text.strip()) or len(text) > 200:
        raise InvalidField("Content-Type", f"expected a media type such as application/json; got {text[:80]!r}", 400)
    return text.strip()
