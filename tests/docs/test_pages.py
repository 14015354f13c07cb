"""Links, keys, scripts and files that the documentation names exist, and what exists is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from shared.store.keys import FlowSet, Keys
from shared.store.scripts import ALL
from tests.docs.blocks import blocks_of
from tests.docs.make_run import ROOT

PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:shared|producer|dispatcher|consumers|client|cli|examples|tests|docs)/[\w./-]+)`")
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@by_name
def test_every_link_resolves(page: Path) -> None:
    """A link to a file finds it, and one to a heading finds that heading."""
    text = page.read_text()
    for target in _LINK.findall(text):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if heading:
            assert heading in _headings(file.read_text()), f"{page.name}: {target}"


def _headings(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@by_name
def test_every_file_that_is_named_exists(page: Path) -> None:
    """A path in the text is a path of the repository."""
    missing = [name for name in _FILE.findall(page.read_text()) if not (ROOT / name).exists()]

    assert missing == []


@by_name
def test_pages_are_plain_and_narrow(page: Path) -> None:
    """ASCII, so that any terminal and any diff shows them; a newline at the end; text lines of at most 130 characters outside
    tables and blocks."""
    text = page.read_text()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert text.isascii(), [line for line in text.splitlines() if not line.isascii()]
    for block in blocks_of(page):
        text = text.replace(block.text, "")
    assert [line for line in text.splitlines() if len(line) > 130 and not line.startswith("|")] == []


def test_every_key_is_shown_in_the_readme_and_explained_in_the_architecture() -> None:
    """Who adds a key to shared/store/keys.py hears of the documentation here."""
    keys = Keys("mss", 0)
    made = [value for name, value in vars(keys).items() if not name.startswith("_") and isinstance(value, str)]
    made += [
        keys.due("t"),
        keys.stream("t"),
        *keys.dues("t"),
        *keys.streams("t"),
        keys.errors("i"),
        keys.idempotency("d"),
        *(keys.flow("t", what) for what in get_args(FlowSet)),
        keys.rate("n"),
        keys.tally(1),
    ]
    made += [keys.schedule("s"), keys.runs("s")]
    names = {key.removeprefix("mss:{0}:") for key in made}
    readme, architecture = (ROOT / "README.md").read_text(), (ROOT / "docs" / "architecture.md").read_text()
    public = [name for name in dir(Keys) if not name.startswith("_")]
    assert sorted(public) == sorted(
        ["due", "dues", "errors", "flow", "idempotency", "parked", "rate", "runs", "schedule", "stream", "streams", "tally"]
    ), "a new kind of key: show it here too"

    for name in names:
        kind = name.split(":")[0] if name.count(":") and not name.startswith(("dead", "finished")) else name
        assert f"mss:{{0}}:{kind}" in readme, f"{name} is not in README.md"
        assert re.search(rf"^\| `{re.escape(kind)}[:`]", architecture, re.MULTILINE), f"{name} is not in docs/architecture.md"


def test_every_script_is_in_the_table_of_scripts() -> None:
    """Each Lua script has a row in docs/architecture.md, and each row a script."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("## Scripts") :]
    rows = re.findall(r"^\| `(\w+)` \|", table[: table.index("\n## ", 1)], re.MULTILINE)

    assert sorted(rows) == sorted(script.name for script in ALL)


def test_every_top_level_folder_is_in_the_layout() -> None:
    """The list of folders names each package of the service."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}

    assert {name for name in packages if f"| `{name}/` |" not in text} == set()
