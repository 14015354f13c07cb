"""Reads ``appsettings.json`` and the environment, once, and checks them. The only module that reads the environment.

``Section__Key`` in the environment overrides ``Section.Key`` of the file; ``Topics`` and ``Partitions`` have no section.
``Topics``, ``Consumers__Topics`` and ``Auth__Keys`` are given as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import SettingsError
from shared.settings import LOOPBACK, SECTIONS, WEBHOOK, ApiKeySettings, Settings
from shared.settings_errors import close_to, explained, names_in
from shared.signing import check_signing_keys
from shared.targets import Targets

DEFAULT_FILE = "appsettings.json"
FILE_VARIABLE = "APPSETTINGS"
"""Names another settings file than ``appsettings.json`` of the working directory."""

LISTS = frozenset(
    {
        "Topics", "Consumers__Topics", "Auth__Keys", "Webhooks__AllowedNetworks", "Webhooks__AllowedPorts",
        "Webhooks__AllowedSchemes",
    }
)  # fmt: skip
"""Variables that are given whole, as JSON."""

SECTION_LIKENESS = 0.8
"""From which on a section in the environment is a known one misspelt."""


def load_settings(environment: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """The settings of this process. Raises ``SettingsError`` naming the key, its value and what was expected."""
    environment = os.environ if environment is None else environment
    values = _read_file(file or Path(environment.get(FILE_VARIABLE, DEFAULT_FILE)), required=FILE_VARIABLE in environment)
    strict = _convert(values, strict=True)
    overrides = _overrides(environment)
    settings = _convert(_merged(values, overrides), strict=False) if overrides else strict
    _check(settings)
    Targets(settings.webhooks)
    check_signing_keys(settings.webhooks)
    return settings


def _read_file(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
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


def _overrides(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment names, in the file's shape."""
    found: dict[str, Any] = {}
    for name, text in environment.items():
        section, separator, rest = name.partition("__")
        if separator:
            _check_name(name, section, rest)
        if section not in SECTIONS or bool(separator) != (SECTIONS[section] is not None):
            continue
        value = _parsed(name, text) if name in LISTS else text
        if rest:
            found.setdefault(section, {})[rest] = value
        else:
            found[section] = value
    return found


def _check_name(name: str, section: str, rest: str) -> None:
    """Refuses what is meant as a setting and would be overlooked."""
    if section in SECTIONS and rest and SECTIONS[section] is not None:
        return
    if section in SECTIONS:
        how = f"a setting is named {section}__…" if SECTIONS[section] else f"{section} is given whole, as JSON"
        raise SettingsError(name, "***", f"there is no such setting; {how}")
    meant = next((one for one in SECTIONS if one.lower() == section.lower()), None)
    if meant is not None:
        raise SettingsError(name, "***", f"there is no such setting; names are written as in the file, such as {meant}__…")
    misspelt = close_to(section, SECTIONS, SECTION_LIKENESS)
    key = close_to(rest, names_in(misspelt)) if misspelt else None
    if key is not None:  # both parts: another program may have an Auth0__Domain
        raise SettingsError(name, "***", f"there is no such setting; did you mean {misspelt}__{key}?")


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(name, "***" if name == "Auth__Keys" else text[:200], f"expected JSON: {error}") from None


def _merged(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        merged[key] = {**merged.get(key, {}), **value} if SECTIONS[key] else value
    return merged


def _convert(values: dict[str, Any], *, strict: bool) -> Settings:
    try:
        return msgspec.convert(values, Settings, strict=strict)
    except msgspec.ValidationError as error:
        text = str(error) if strict else str(error).replace(", got `str`", "")  # in the environment everything is a text
        raise explained(text, values) from None


def _check(settings: Settings) -> None:
    """What no single value can show."""
    names = [topic.name for topic in settings.topics]
    for name in names:
        if name == "echo" or names.count(name) > 1:
            raise SettingsError("Topics", name, "expected each topic once, and 'echo' is built in")
    if settings.all_topics()[WEBHOOK.name].handler != WEBHOOK.handler:
        raise SettingsError("Topics", WEBHOOK.name, f"expected Handler {WEBHOOK.handler}: topic {WEBHOOK.name} is built in")
    for position, name in enumerate(settings.consumers.topics):
        if name not in settings.all_topics():
            expected = f"expected one of {', '.join(settings.all_topics())}"
            raise SettingsError(f"Consumers.Topics[{position}]", name, expected)
    if settings.producer.max_body_bytes > settings.producer.max_request_bytes:
        raise SettingsError(
            "Producer.MaxBodyBytes", settings.producer.max_body_bytes, "expected at most Producer.MaxRequestBytes"
        )
    if settings.producer.max_request_bytes > settings.producer.max_in_flight_bytes:
        raise SettingsError(
            "Producer.MaxRequestBytes", settings.producer.max_request_bytes, "expected at most Producer.MaxInFlightBytes"
        )
    check_keys(settings.auth.keys)
    _check_openness(settings)


def check_keys(keys: Sequence[ApiKeySettings]) -> None:
    """Raises ``SettingsError`` with the position of the key that cannot be."""
    for number, key in enumerate(keys):
        earlier = keys[:number]
        if key.name in {one.name for one in earlier}:
            raise SettingsError(f"Auth.Keys[{number}].Name", key.name, "expected each name once")
        if key.hash in {one.hash for one in earlier}:
            raise SettingsError(f"Auth.Keys[{number}].Hash", "***", "expected each key once")
        if key.burst is not None and key.rate_per_s is None:
            raise SettingsError(f"Auth.Keys[{number}].Burst", key.burst, "expected RatePerS beside it")


def _check_openness(settings: Settings) -> None:
    """Listening for everybody is a decision, not an accident."""
    if settings.auth.keys and settings.auth.disabled:
        raise SettingsError("Auth.Disabled", True, "expected false where there are Auth.Keys: they would protect nothing")  # noqa: FBT003 - the value
    if not (settings.producer.host in LOOPBACK or settings.auth.keys or settings.auth.disabled):
        raise SettingsError(
            "Producer.Host",
            settings.producer.host,
            "expected a loopback address, since there are no Auth.Keys: anybody who reaches another one may schedule. "
            "Make a key with 'python -m cli key', or set Auth.Disabled to true where something else protects the service",
        )


def explicit(environment: Mapping[str, str] | None, section: str, key: str, file: Path | None = None) -> bool:
    """Whether a setting was given, not left to its default: a default port that is taken may be replaced, a given one not."""
    environment = os.environ if environment is None else environment
    if f"{section}__{key}" in environment:
        return True
    values = _read_file(file or Path(environment.get(FILE_VARIABLE, DEFAULT_FILE)), required=False)
    return key in values.get(section, {})
