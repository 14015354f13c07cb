"""Reads ``appsettings.json`` and the environment, once, and checks them. The only module that reads the environment.

``Section__Key`` in the environment overrides ``Section.Key`` of the file; ``Topics`` and ``Partitions`` have no section.
Values that are lists or objects are given as JSON.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import SettingsError
from shared.settings import Section, Settings

DEFAULT_FILE = "appsettings.json"
FILE_VARIABLE = "APPSETTINGS"
"""Names another settings file than ``appsettings.json`` of the working directory."""

_PATH = re.compile(r"^(?P<expected>.*?)(?: - at `\$?\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")


def load_settings(environment: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """The settings of this process. Raises ``SettingsError`` naming the key, its value and what was expected."""
    environment = os.environ if environment is None else environment
    values = _read_file(file or Path(environment.get(FILE_VARIABLE, DEFAULT_FILE)), required=FILE_VARIABLE in environment)
    strict = _convert(values, strict=True)
    overrides = _overrides(environment)
    settings = _convert(_merged(values, overrides), strict=False) if overrides else strict
    _check(settings)
    return settings


def _read_file(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise SettingsError(FILE_VARIABLE, str(file), "there is no such file") from None
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(str(file), "", f"expected a JSON file: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(str(file), type(values).__name__, "expected a JSON object of sections")
    values.pop("$schema", None)
    return values


def _sections() -> dict[str, type | None]:
    fields = msgspec.structs.fields(Settings)
    return {f.encode_name: f.type if isinstance(f.type, type) and issubclass(f.type, Section) else None for f in fields}


def _overrides(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment names, in the file's shape."""
    sections, found = _sections(), dict[str, Any]()
    for name, text in environment.items():
        section, _, rest = name.partition("__")
        if section not in sections or bool(rest) != (sections[section] is not None):
            continue
        value = _parsed(name, text) if text[:1] in ("[", "{") or section == "Topics" else text
        if rest:
            found.setdefault(section, {})[rest] = value
        else:
            found[section] = value
    return found


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(name, text, f"expected JSON: {error}") from None


def _merged(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def _convert(values: dict[str, Any], *, strict: bool) -> Settings:
    try:
        return msgspec.convert(values, Settings, strict=strict)
    except msgspec.ValidationError as error:
        raise _explained(str(error), values) from None


def _explained(text: str, values: dict[str, Any]) -> SettingsError:
    match = _PATH.match(text)
    path, expected = (match["path"] or "", match["expected"]) if match else ("", text)
    for pattern, reason in ((_UNKNOWN, "there is no such setting"), (_MISSING, "this setting is required")):
        named = pattern.search(expected)
        if named:
            path, expected = f"{path}.{named['name']}".lstrip("."), reason
    value = _value_at(values, path)
    return SettingsError(path, "***" if "ConnectionString" in path else value, expected[:1].lower() + expected[1:])


def _value_at(values: Any, path: str) -> Any:
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            values = values[int(step)] if isinstance(values, list) else values[step]
        except (LookupError, ValueError, TypeError):
            return None
    return values


def _check(settings: Settings) -> None:
    """What no single value can show."""
    names = [topic.name for topic in settings.topics]
    for name in names:
        if name == "echo" or names.count(name) > 1:
            raise SettingsError("Topics", name, "expected each topic once, and 'echo' is built in")
    if settings.producer.max_body_bytes > settings.producer.max_request_bytes:
        raise SettingsError(
            "Producer.MaxBodyBytes", settings.producer.max_body_bytes, "expected at most Producer.MaxRequestBytes"
        )
    loopback = settings.producer.host in {"127.0.0.1", "localhost", "::1"}
    if not loopback and not settings.auth.disabled:
        raise SettingsError(
            "Producer.Host",
            settings.producer.host,
            "expected a loopback address: anybody who reaches another one may schedule. "
            "Set Auth.Disabled to true where something else protects the service",
        )


def explicit(environment: Mapping[str, str] | None, section: str, key: str, file: Path | None = None) -> bool:
    """Whether a setting was given, not left to its default: a default port that is taken may be replaced, a given one not."""
    environment = os.environ if environment is None else environment
    if f"{section}__{key}" in environment:
        return True
    values = _read_file(file or Path(environment.get(FILE_VARIABLE, DEFAULT_FILE)), required=False)
    return key in values.get(section, {})
