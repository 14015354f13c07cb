"""Results into the documentation: the page and its pictures. The only place where files are written."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report.layout import PICTURES
from benchmarks.report.page import page
from benchmarks.results import Results, load


def write(results_folder: Path, docs_folder: Path) -> Path:
    """``<docs>/benchmarks.md`` and its pictures. Without matplotlib, those that are there stay as they are."""
    results = load(results_folder)
    pictures = docs_folder / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    if not _draw(results, pictures):
        print("no new pictures: matplotlib is not installed")
    file = docs_folder / "benchmarks.md"
    file.write_text(page(results, {name for name in PICTURES if (pictures / name).exists()}), encoding="utf-8")
    return file


def _draw(results: list[Results], folder: Path) -> bool:
    try:
        from benchmarks.report.pictures import draw  # noqa: PLC0415 - the page can be written where matplotlib is not installed
    except ImportError:
        return False
    draw(results, folder)
    return True
