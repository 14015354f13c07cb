"""Names of queues and URL groups: letters, digits, hyphens, periods and underscores."""

from __future__ import annotations

import re

from shared.errors import InvalidField

LONGEST = 100
"""With what stands before it, a queue's name has to fit into a flow key."""
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST}}}")


def checked(name: str, field: str) -> str:
    """The name. Raises ``InvalidField``."""
    if not _NAME.fullmatch(name):
        raise InvalidField(field, f"expected 1 to {LONGEST} letters, digits and . _ -; got {name[:40]!r}", 400)
    return name
