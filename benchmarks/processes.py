"""Processes under measurement: started, watched for what they use, ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

END_S = 15.0


class Process:
    """One process with what it starts itself. Started by ``with``, ended with it."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, end_s: float = END_S
    ) -> None:
        """``end_s``: how long it may take to end before it is killed."""
        self._command, self._log, self._end_s = list(command), log, end_s
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._watched = psutil.Process(self._process.pid)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises ``RuntimeError`` where it has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise RuntimeError(f"{self._command} ended with {code}:\n{self.said()[-2000:]}")

    def said(self) -> str:
        """What it printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def cpu_s(self) -> float:
        """Processor time used so far, with that of its children, dead or alive."""
        used = 0.0
        for one in (self._watched, *self._watched.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            used += times.user + times.system + times.children_user + times.children_system
        return used

    def resident_bytes(self) -> int:
        return int(self._watched.memory_info().rss)

    def kill(self) -> None:
        """SIGKILL, to it and to what it started."""
        for one in (*self._watched.children(recursive=True), self._watched):
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()

    def end(self) -> None:
        """SIGTERM; SIGKILL where that does not help."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._end_s)
        except subprocess.TimeoutExpired:
            self.kill()


def python(*arguments: str) -> list[str]:
    """A command of this very Python."""
    return [sys.executable, *arguments]
