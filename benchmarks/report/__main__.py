"""``python -m benchmarks.report``: the page and its pictures again, from the results that are kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report.write import write

ROOT = Path(__file__).parents[2]

if __name__ == "__main__":
    print(write(ROOT / "benchmarks" / "results", ROOT / "docs").relative_to(ROOT))
