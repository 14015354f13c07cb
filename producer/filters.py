"""Which messages a list or a change of many is about: from a query or a body to the store's filter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from msgspec import UNSET, structs

from producer.drafts import Rules, due_time
from producer.requests import page_limit
from producer.schemas import CURSOR, EPOCH_TEXT, TIME_QUERY, DeadLetterFilter, MessageFilter
from shared.errors import InvalidField
from shared.ids import TOPIC_PATTERN
from shared.store.listing.filter import STATES, Filter, Order, State

PAGE, LARGEST_PAGE = 50, 500
TIMES = ("due_from", "due_until", "created_from", "created_until", "died_from", "died_until")
_TOPIC = re.compile(TOPIC_PATTERN)
_EPOCH = re.compile(EPOCH_TEXT)
_TEXTS = ("topic", "label", "error")
_TIME_QUERY = (TIME_QUERY, "A time as in `deliver_at`; included.")
MESSAGE_QUERY: dict[str, tuple[dict[str, Any], str]] = {
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE},
        "Most messages a page; large ones come fewer at a time.",
    ),
    "cursor": ({"type": "string", "pattern": CURSOR}, "`next_cursor` of the page before, with the same other parameters."),
    "order": (
        {"type": "string", "enum": ["oldest", "newest"]},
        "Which comes first, by the time of its state; with a `label`, of those that are not over, by the time first asked for.",
    ),
    "topic": ({"type": "string", "pattern": f"^{TOPIC_PATTERN}$"}, "Only of this topic."),
    "label": ({"type": "string"}, "Only with this label. An index finds those that are not over."),
    "due_from": _TIME_QUERY, "due_until": _TIME_QUERY, "created_from": _TIME_QUERY, "created_until": _TIME_QUERY,
}  # fmt: skip
DEAD_LETTER_QUERY = {
    **MESSAGE_QUERY,
    "error": ({"type": "string"}, "Only with this text in its reason or its last error."),
    "died_from": _TIME_QUERY, "died_until": _TIME_QUERY,
}  # fmt: skip


def filter_asked(asked: MessageFilter | DeadLetterFilter, state: State, rules: Rules) -> Filter:
    """Of a body. Raises ``InvalidField``, also where it asks for nothing: nobody means all messages by it."""
    given = {name: value for name, value in structs.asdict(asked).items() if value is not UNSET}
    if not given:
        raise InvalidField("filter", f"expected at least one of {', '.join(structs.asdict(asked))}")
    return _filter(given, state, rules, "filter.")


def page_asked(request: web.Request, state: State, order: Order, rules: Rules) -> tuple[Filter, Order, int, str | None]:
    """Of a query: filter, order, most messages of the page, cursor. Raises ``InvalidField``."""
    allowed = DEAD_LETTER_QUERY if state == "dead" else {**MESSAGE_QUERY, "state": ()}
    query = request.query
    unknown = set(query) - set(allowed)
    if unknown:
        raise InvalidField(min(unknown), f"there is no such parameter; expected one of {', '.join(sorted(allowed))}")
    named = query.get("state", state)
    found = next((known for known in STATES if known == named), None)
    if found is None:
        raise InvalidField("state", f"expected one of {', '.join(STATES)}; got {named[:40]!r}")
    first = query.get("order", order)
    if first not in {"oldest", "newest"}:
        raise InvalidField("order", f"expected oldest or newest; got {first[:40]!r}")
    given = {name: query[name] for name in (*_TEXTS, *TIMES) if name in query}
    ordered: Order = "newest" if first == "newest" else "oldest"
    return _filter(given, found, rules), ordered, page_limit(request, PAGE, LARGEST_PAGE), query.get("cursor")


def _filter(given: Mapping[str, Any], state: State, rules: Rules, prefix: str = "") -> Filter:
    if "topic" in given and not _TOPIC.fullmatch(given["topic"]):  # one that left the settings may have messages still
        raise InvalidField(f"{prefix}topic", f"expected the name of a topic; got {given['topic'][:64]!r}")
    found: dict[str, Any] = {name: given[name] for name in _TEXTS if name in given}
    for name in TIMES:
        if name in given:
            found[name] = query_time(f"{prefix}{name}", given[name], rules)
    return Filter(state=state, **found)


def query_time(name: str, value: str | float, rules: Rules) -> int:
    """Milliseconds since the epoch; a query has texts only, also for numbers. Raises ``InvalidField``."""
    if isinstance(value, str) and _EPOCH.fullmatch(value):
        return due_time(name, float(value), rules)
    return due_time(name, value, rules)
