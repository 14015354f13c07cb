"""The settings table of README.md against the settings themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from shared.settings import ECHO, WEBHOOK, ApiKeySettings, Section, Settings, TopicSettings
from tests.docs.make_run import ROOT

_ROW = re.compile(r"^\| `([A-Za-z.\[\]]+)` \| (`[^`]*`|\S+) \| (.+) \|$", re.MULTILINE)


def test_every_setting_is_in_the_table_with_its_default_and_nothing_else_is() -> None:
    """Who adds, renames or changes a setting hears of the README here."""
    text = (ROOT / "README.md").read_text()
    rows = _ROW.findall(text[text.index("<!-- settings -->") : text.index("## Testing")])

    table = {key: default.strip("`") for key, default, _ in rows}

    assert len(table) == len(rows), "a setting stands there twice"
    assert table == dict(_defaults())
    assert all(meaning.strip() for _, _, meaning in rows)


def _defaults() -> Iterator[tuple[str, str]]:
    for section in msgspec.structs.fields(Settings):
        if isinstance(section.type, type) and issubclass(section.type, Section):
            for field in msgspec.structs.fields(section.type):
                yield f"{section.encode_name}.{field.encode_name}", _as_json(field.default)
        else:
            yield section.encode_name, _as_json(section.default)
    for name, inside in (("Topics", TopicSettings), ("Auth.Keys", ApiKeySettings)):
        for field in msgspec.structs.fields(inside):
            yield f"{name}[].{field.encode_name}", _as_json(field.default)


def _as_json(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return "required"
    if isinstance(default, Section):
        return json.dumps({key: value for key, value in msgspec.to_builtins(default).items() if value is not None})
    return json.dumps(default)


def test_the_smallest_file_that_is_named_is_complete() -> None:
    """The file that the README calls complete gives every default."""
    smallest = '{"Redis": {"ConnectionString": "localhost"}}'

    assert f"`{smallest}`" in (ROOT / "README.md").read_text()
    assert msgspec.json.decode(smallest, type=Settings) == Settings()
    assert Settings().all_topics() == {"echo": ECHO, "webhook": WEBHOOK}
