"""What is wrong with a setting, in words a person can act on. Never shows what may be a password."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

import msgspec

from shared.errors import SettingsError
from shared.settings import PATTERNS, SECTIONS, ApiKeySettings, Scope, Settings, TopicRetrySettings, TopicSettings

_PATH = re.compile(r"^(?P<expected>.*?)(?: - at `\$?\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_PATTERN = re.compile(r"`str` matching regex (?P<pattern>.*)", re.DOTALL)
_TYPES = {
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "a text",
    "`bool`": "true or false",
    "`object`": "an object",
    "`array`": "a list",
    "`null`": "null",
}
_SECRET = re.compile(r"connectionstring|passw|pwd|secret|token|credential|user|^auth\b.*key", re.IGNORECASE)
"""Also all of ``Auth.Keys``: somebody may have written a key where its hash or its name belongs."""


def explained(text: str, values: dict[str, Any]) -> SettingsError:
    """msgspec's complaint about those values, as key, value and expectation."""
    match = _PATH.match(text)
    path, expected = (match["path"] or "", match["expected"]) if match else ("", text)
    for pattern, reason in ((_UNKNOWN, "there is no such setting"), (_MISSING, "this setting is required")):
        named = pattern.search(expected)
        if named:
            meant = close_to(named["name"], names_in(path)) if pattern is _UNKNOWN else None
            expected = f"{reason}; did you mean {meant}?" if meant else reason
            path = f"{path}.{named['name']}".lstrip(".")
    return SettingsError(path, _shown(path, _value_at(values, path)), _in_words(path, expected))


def names_in(path: str) -> list[str]:
    """What may stand at that place of the file."""
    inside = _inside(path)
    return [field.encode_name for field in msgspec.structs.fields(inside)] if inside else []


def _inside(path: str) -> type[msgspec.Struct] | None:
    if path.startswith("Topics["):
        return TopicRetrySettings if path.endswith(".Retry") else TopicSettings
    if path.startswith("Auth.Keys["):
        return ApiKeySettings
    return SECTIONS.get(path) if path else Settings


def close_to(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that was probably meant, upper or lower case apart; ``likeness`` from 0 to 1 (the same)."""
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None


def _in_words(path: str, expected: str) -> str:
    pattern = _PATTERN.search(expected)
    if pattern:
        return f"expected {PATTERNS[ast.literal_eval(pattern['pattern'])]}"
    if expected.startswith("Invalid enum value"):
        return f"expected one of {', '.join(_choices(path))}"
    for name, words in _TYPES.items():
        expected = expected.replace(name, words)
    return expected[:1].lower() + expected[1:]


def _choices(path: str) -> tuple[str, ...]:
    if path.startswith("Auth.Keys["):
        return get_args(Scope)
    owner, _, key = path.rpartition(".")
    fields = msgspec.structs.fields(_inside(owner) or Settings)
    found = next((get_args(field.type) for field in fields if field.encode_name == key.partition("[")[0]), ())
    return get_args(found[0]) if Ellipsis in found else found  # of a list: those of what is in it


def _shown(path: str, value: Any) -> Any:
    """A value as an error may show it: nothing that may hold a password, and no more than a line."""
    if _SECRET.search(path) or (isinstance(value, str) and "://" in value):
        return "***"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return value[:200] if isinstance(value, str) else value


def _value_at(values: Any, path: str) -> Any:
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            values = values[int(step)] if isinstance(values, list) else values[step]
        except (LookupError, ValueError, TypeError):
            return None
    return values
