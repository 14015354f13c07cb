"""Why a goal was missed: what the profile shows and what was tried. Words, no figures: those are the page's own."""

from __future__ import annotations

WHY_MISSED: dict[str, str] = {}
"""By ``Goal.what``; shown under the goals table while that goal is missed, and only then."""
