"""The planted bugs can be planted: their places in the code are where the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.planted import BUGS, ROOT, Change, plant


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_changes_a_copy_and_nothing_else(bug: str, tmp_path: Path) -> None:
    """Each change is found exactly once, the copy differs in the named files only, and the tree itself stays as it was."""
    before = {change.file: (ROOT / change.file).read_text(encoding="utf-8") for change in BUGS[bug]}

    plant(bug, tmp_path)

    for file, text in before.items():
        assert (ROOT / file).read_text(encoding="utf-8") == text
        assert (tmp_path / file).read_text(encoding="utf-8") != text
    changed = {
        str(file.relative_to(tmp_path))
        for file in tmp_path.rglob("*.*")
        if file.is_file() and file.read_bytes() != (ROOT / file.relative_to(tmp_path)).read_bytes()
    }
    assert changed == set(before)


def test_a_bug_whose_place_has_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that would change nothing is told, instead of a run that proves nothing."""
    monkeypatch.setitem(BUGS, "gone", (Change("shared/store/due.py", "no such text", ""),))

    with pytest.raises(ValueError, match=r"due\.py holds 'no such text' 0 times"):
        plant("gone", tmp_path)
