"""Calls something at a time of the monotonic clock, to some microseconds.

An event loop's own timers are rounded up to whole milliseconds, since that is what ``epoll_wait`` counts in. Linux has timers
that are files (``timerfd_create(2)``): the loop waits for one as for a socket. Elsewhere the loop's timer has to do.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_CLOCK_MONOTONIC = 1
_AT_A_TIME = 1
"""``TFD_TIMER_ABSTIME``."""


class _Times(ctypes.Structure):
    """``struct itimerspec``: a period, which is none here, and the first time."""

    _fields_ = (
        ("period_s", ctypes.c_long),
        ("period_ns", ctypes.c_long),
        ("at_s", ctypes.c_long),
        ("at_ns", ctypes.c_long),
    )


class ExactTimer:
    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._file = -1
        self._plain: asyncio.TimerHandle | None = None
        self.is_set = False

    def set(self, at_s: float) -> None:
        """Calls at that time of ``time.monotonic()``, instead of any that was set before."""
        self.is_set = True
        if _LIBC is None:
            self._cancel_plain()
            loop = asyncio.get_running_loop()
            self._plain = loop.call_at(loop.time() + at_s - time.monotonic(), self._expired)
            return
        self._arm(max(1, int(at_s * 1e9)))

    def cancel(self) -> None:
        if not self.is_set:
            return
        self.is_set = False
        self._cancel_plain()
        if self._file >= 0:
            self._arm(0)

    def close(self) -> None:
        """Rings no more; may be set again."""
        self.cancel()
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _cancel_plain(self) -> None:
        if self._plain is not None:
            self._plain.cancel()
            self._plain = None

    def _arm(self, at_ns: int) -> None:
        """0 disarms it."""
        assert _LIBC is not None  # noqa: S101 - on Linux only
        if self._file < 0:
            self._file = _LIBC.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._file < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create")
            asyncio.get_running_loop().add_reader(self._file, self._expired)
        times = _Times(0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        if _LIBC.timerfd_settime(self._file, _AT_A_TIME, ctypes.byref(times), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _expired(self) -> None:
        if self._file >= 0:
            try:
                os.read(self._file, 8)
            except BlockingIOError:  # set anew or taken back since it expired
                return
        self._plain, self.is_set = None, False
        self._ring()
