"""The only way in which tests wait: for a condition, with a bound."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

EVERY_S = 0.01


async def eventually(probe: Callable[[], Any], *, within_s: float = 10.0, what: str = "") -> Any:
    """The first true answer of ``probe``, asked again and again. Fails after ``within_s`` with the last answer."""
    until_s = time.monotonic() + within_s
    while True:
        found = probe()
        answer = await found if inspect.isawaitable(found) else found
        if answer:
            return answer
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {within_s} s: {what or inspect.getsource(probe).strip()}; last answer: {answer!r}")
        await asyncio.sleep(EVERY_S)
