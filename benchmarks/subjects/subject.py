"""What every scenario asks of whatever it measures."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from benchmarks.processes import Process
from benchmarks.server import Server

NOW, FAR = "now", "far"
"""When messages are due: at once, or some weeks ahead. Else the milliseconds since the epoch of the first, in digits."""


class Session(Protocol):
    """A subject at work on one server."""

    def fill(self, count: int, size: int = 100, due: str = NOW, per_second: float = 0.0, first: int = 0) -> float:
        """Schedules messages, numbered from ``first``, and returns the seconds it took.

        Where ``due`` is a time, message ``n`` of them is due ``n / per_second`` later.
        """
        ...

    def await_ready(self, count: int) -> None:
        """Waits until so many due messages lie where a worker finds them."""
        ...

    def worker(self, profile: str, *, holds: bool = False) -> AbstractContextManager[Process]:
        """One worker process that consumes. ``profile``: ``drain``, ``lateness``, ``recovery`` or ``default``.

        ``holds``: its handler marks the start and then does not end.
        """
        ...

    def cpu_s(self) -> float:
        """What all its processes but the server have used of the processor so far; whoever loads it is left out."""
        ...


class Subject(Protocol):
    name: str

    def open(self, server: Server) -> AbstractContextManager[Session]:
        """Its processes but the workers, on that server."""
        ...
