"""What the query of a QStash call asks for: many values of one name, counts, times. What it does not know it refuses."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from shared.errors import InvalidField
from shared.store.listing.filter import Order

LATEST_MS = 10**15
LONGEST_VALUE = 2_000
MOST_VALUES = 1_000
"""Of one name."""
_ORDERS: dict[str, Order] = {"earliestFirst": "oldest", "latestFirst": "newest"}


def refuse_unknown(request: web.Request, known: Collection[str]) -> None:
    """A filter that is not known would be one that holds of everything. Raises ``InvalidField``."""
    unknown = set(request.query) - set(known)
    if unknown:
        raise InvalidField(min(unknown), f"there is no such parameter; expected one of {', '.join(sorted(known))}", 400)


def values(request: web.Request, *names: str) -> frozenset[str]:
    """Those of a name, each given by itself or several with commas between; the whole is among them too: a URL may hold a comma.

    Empty where it is not asked for. Raises ``InvalidField``.
    """
    given = [text for name in names for text in request.query.getall(name, ())]
    found = {part.strip() for text in given for part in (text, *text.split(","))} - {""}
    if given and not found:
        raise InvalidField(names[0], "expected a value; without the name nothing is filtered by it", 400)
    if len(found) > MOST_VALUES or any(len(text) > LONGEST_VALUE for text in found):
        raise InvalidField(names[0], f"expected at most {MOST_VALUES} values of at most {LONGEST_VALUE} characters", 400)
    return frozenset(found)


def whole(request: web.Request, name: str, least: int, largest: int) -> int | None:
    """A whole number; ``None`` where it is not asked for. Raises ``InvalidField``."""
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not least <= int(text) <= largest:
        raise InvalidField(name, f"expected a whole number from {least} to {largest}; got {text[:40]!r}", 400)
    return int(text)


def count(request: web.Request, largest: int) -> int:
    """How many a page may hold; the most where it is not asked for, or where more is asked for. Raises ``InvalidField``."""
    asked = whole(request, "count", 1, 10**9)
    return largest if asked is None else min(asked, largest)


def switch(request: web.Request, name: str) -> bool:
    """Whether it is ``true``; not, where it is not asked for. Raises ``InvalidField``."""
    text = request.query.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise InvalidField(name, f"expected true or false; got {text[:40]!r}", 400)
    return text == "true"


def order(request: web.Request, *allowed: str) -> Order:
    """Raises ``InvalidField``."""
    text = request.query.get("order", "latestFirst")
    if text not in (allowed or _ORDERS):
        raise InvalidField("order", f"expected {' or '.join(allowed or _ORDERS)}; got {text[:40]!r}", 400)
    return _ORDERS[text]


def cursor(request: web.Request) -> str | None:
    """An empty one is none: clients send it on from an answer that had none."""
    return request.query.get("cursor") or None
