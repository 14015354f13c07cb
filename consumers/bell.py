"""Tells an event loop from any thread that there is something to do: one call for all rings since the last.

Each ``call_soon_threadsafe`` is a system call and a change of threads; a message each would cost more than what it tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def tell(loop: asyncio.AbstractEventLoop, work: Callable[..., object], *arguments: object) -> None:
    """Has a loop call something, from any thread. Where it has closed there is nobody left to tell: the process ends."""
    try:
        loop.call_soon_threadsafe(work, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise


class Bell:
    def __init__(self, loop: asyncio.AbstractEventLoop, answer: Callable[[], object]) -> None:
        """``answer`` is called in the loop. Whoever rings has put down before what it is to find."""
        self._loop, self._answer = loop, answer
        self._rung = False

    def ring(self) -> None:
        """From any thread. A ring while another waits to be answered is part of it."""
        if not self._rung:
            self._rung = True
            tell(self._loop, self._open)

    def _open(self) -> None:
        self._rung = False  # first: what is put down from now on rings again
        self._answer()
