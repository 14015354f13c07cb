"""When each message started: a file that any number of processes mark, without a system call or a lock on the way.

``count`` little-endian 64-bit integers: microseconds since the epoch of a message's first start, 0 before it; then ``count``
bytes: how often it was started (255 stands for more). A message's number is where its marks lie, so nothing is shared but the
file. Uses the standard library alone: the environments of the peers import this module too.
"""

from __future__ import annotations

import array
import mmap
import time
from pathlib import Path

DIGITS = 8
"""A body begins with its message's number, in so many digits."""


def body_of(number: int, size: int = 100) -> str:
    """The body of a message: its number, filled up to ``size`` characters."""
    return f"{number:0{DIGITS}d}".ljust(size, "x")


def create(path: Path, count: int) -> None:
    """An empty file of marks. Whoever still has the one before keeps it to himself."""
    path.unlink(missing_ok=True)
    path.write_bytes(bytes(count * 9))


class Marks:
    """One process's view of the file."""

    def __init__(self, path: str | Path) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.count = len(self._map) // 9
        view = memoryview(self._map)
        self._starts = view[: self.count * 8].cast("q")
        self._times = view[self.count * 8 :]

    def start(self, body: str | bytes) -> None:
        """Marks the start of the message with this body."""
        number = int(body[:DIGITS])
        times = self._times[number]
        if times == 0:
            self._starts[number] = time.time_ns() // 1000
        if times < 255:
            self._times[number] = times + 1

    def started(self) -> int:
        """How many messages were started."""
        return self.count - self._map[self.count * 8 :].count(0)

    def starts_us(self) -> array.array[int]:
        """The first start of each message, by its number."""
        return array.array("q", self._map[: self.count * 8])

    def repeats(self) -> int:
        """How many starts were not a message's first."""
        return sum(self._times) - self.started()
