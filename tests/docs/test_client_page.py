"""The code of docs/client.md, run in order against a producer, prints what the page says it prints."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

import client
from shared.settings import Settings, TopicSettings
from tests.docs.blocks import blocks_of
from tests.docs.make_run import ROOT
from tests.producer.conftest import OpenApi, open_api

__all__ = ["open_api"]
PAGE = ROOT / "docs" / "client.md"
_PRINTS = re.compile(r"print\(.*\)  # (.+)$", re.MULTILINE)


@pytest.mark.leaves("due", "idempotency", "finished", "schedule", "log")
async def test_every_block_does_what_the_page_shows(
    open_api: OpenApi, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever copies them gets what they read."""
    topics = (TopicSettings(name="reminders", handler="examples.reminders"),)
    api = await open_api(msgspec.structs.replace(settings, topics=topics))
    blocks = [block.text for block in blocks_of(PAGE) if block.language == "python"]
    names: dict[str, Any] = {"__name__": "page"}

    for block in blocks:
        code = compile(block.replace("http://localhost:3000", api.url), str(PAGE), "exec")
        await asyncio.to_thread(exec, code, names)

    for name in ("patient", "once"):
        names[name].close()
    shown = [line for block in blocks for line in _PRINTS.findall(block)]
    assert len(shown) > 10
    assert capsys.readouterr().out.splitlines() == shown


def test_every_call_and_error_is_on_the_page() -> None:
    """Who adds one hears of the page here."""
    text = PAGE.read_text()
    calls = {name for name in vars(client.Client) if not name.startswith("_")} - {"send", "stream", "close"}
    kinds = {kind.__name__ for kind in client.Error.__subclasses__()}

    assert {name for name in calls | kinds if f"`{name}`" not in text} == set()
