"""A call: what is sent, what is answered, and whether a repeat is harmless. Described once, sent by both clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

from client.answers import Answer, Page
from client.fields import Durability

Answered = TypeVar("Answered", bound=Answer)
Item = TypeVar("Item")
IDEMPOTENCY_KEY = "Idempotency-Key"
IF_MATCH = "If-Match"
DURABILITY = "Durability"


@dataclass(frozen=True, kw_only=True)
class Call(Generic[Answered]):
    """One call of the API."""

    method: str
    path: str
    answer: type[Answered]
    changes: bool
    """Whether it changes anything in the service: then ``Durability`` holds for it."""
    repeatable: bool
    """Whether a repeat is harmless where the first try may have been done. Where it surely was not, every call is repeated."""
    content: bytes | None = None
    """JSON."""
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    also: int = 200
    """A status beside those of success that comes with an answer too."""
    gone: Answered | None = None
    """What a 404 means where an earlier try may have been done; ``None``: a 404."""

    @property
    def idempotency_key(self) -> str:
        return self.headers.get(IDEMPOTENCY_KEY, "")


def path(*parts: str) -> str:
    """Every part is one segment, whatever is in it."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def looks(method: str, where: str, answer: type[Answered], content: object = None) -> Call[Answered]:
    """A call that changes nothing: repeated freely."""
    return Call(method=method, path=where, answer=answer, changes=False, repeatable=True, content=encoded(content))


def lists(where: str, answer: type[Page[Item]], **query: object) -> Call[Page[Item]]:
    """The first page of a list. ``query``: text and numbers."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return replace(looks("GET", where, answer), query=given)


def after(call: Call[Page[Item]], page: Page[Item]) -> Call[Page[Item]] | None:
    """The call for the next page; ``None`` after the last."""
    return replace(call, query={**call.query, "cursor": page.next_cursor}) if page.next_cursor else None


def creates(
    where: str, answer: type[Answered], content: object, idempotency_key: str | None, durability: Durability | None
) -> Call[Answered]:
    """A call that makes something new. Its idempotency key, made here where none is given, makes a repeat harmless."""
    key = {IDEMPOTENCY_KEY: token_hex(16) if idempotency_key is None else idempotency_key}
    headers = {**key, **_headers(durability, None)}
    return Call(
        method="POST", path=where, answer=answer, changes=True, repeatable=True, content=encoded(content), headers=headers
    )


def changes(
    method: str,
    where: str,
    answer: type[Answered],
    content: object = None,
    *,
    repeatable: bool,
    durability: Durability | None,
    if_match: str | None = None,
) -> Call[Answered]:
    """A call that changes what is there."""
    headers = _headers(durability, if_match)
    return Call(
        method=method,
        path=where,
        answer=answer,
        changes=True,
        repeatable=repeatable,
        content=encoded(content),
        headers=headers,
    )


def encoded(content: object) -> bytes | None:
    """Raises ``TypeError`` for what has no JSON."""
    return None if content is None else msgspec.json.encode(content)


def _headers(durability: Durability | None, if_match: str | None) -> dict[str, str]:
    given = {DURABILITY: durability, IF_MATCH: if_match}
    return {name: value for name, value in given.items() if value is not None}
