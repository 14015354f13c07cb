"""The comparison with others: every cell of this service is shown by a test, and every other one by a source."""

from __future__ import annotations

import re

from tests.docs.make_run import ROOT

PAGE = ROOT / "docs" / "comparison.md"
COLUMNS = 11
_LINK = re.compile(r"\]\((\.\./tests/[^)]+)\)")
_SOURCE = re.compile(r"\[(\d+)\]")


def rows() -> list[list[str]]:
    """The cells of each feature."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_cell_of_ours_is_shown_by_a_test_or_is_a_no() -> None:
    """Who moves a test, or adds a feature, hears of the page here."""
    for feature, *others, ours in rows():
        assert len(others) == COLUMNS - 2, feature
        shown = _LINK.findall(ours)
        assert shown or ours.startswith("no"), feature
        for link in shown:
            text = (PAGE.parent / link).read_text()
            assert re.search(r"^(async )?def test_", text, re.MULTILINE), link


def test_every_cell_of_others_has_a_source_or_says_that_it_was_not_found() -> None:
    """And every source is used."""
    sources = set(re.findall(r"^(\d+)\. ", PAGE.read_text(), re.MULTILINE))
    used = set[str]()
    for feature, *others, _ in rows():
        for cell in others:
            assert cell in {"?", "yes", "no", "hosted", "HTTP", "its API"} or _SOURCE.search(cell), (feature, cell)
            used |= set(_SOURCE.findall(cell))

    assert used == sources
