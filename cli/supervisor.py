"""Keeps processes running: starts again what ends, passes on what they print, ends them in order."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TextIO

from shared.lifecycle import BAD_SETTINGS

RESTART_S = 1.0
LOOK_S = 0.02
LAST_WORDS_S = 1.0
LONGEST_LINE = 2**20
COMPLAINT = "bad settings: "
"""What ``shared.lifecycle`` writes before the reason, to the terminal or to the log."""
KILLED = 130
"""Exit code after a second Ctrl-C."""
_PARENT_DIED = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(slots=True)
class Child:
    name: str
    kind: str
    """The word in the Procfile; those of one kind are ended together."""
    command: list[str]
    process: asyncio.subprocess.Process | None = None
    complaint: str = ""
    """What it last said about its settings."""


class Supervisor:
    def __init__(
        self,
        children: list[Child],
        environment: dict[str, str],
        grace_s: float,
        upkeep: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        """``grace_s``: how long a process may take to end before it is killed. ``upkeep``: runs beside the children."""
        self._children = children
        self._environment = environment
        self._grace_s = grace_s
        self._upkeep = upkeep
        self._stop, self._kill = asyncio.Event(), asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Runs until a signal; returns the exit code. Raises what no child is to blame for."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupted)
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        beside = [asyncio.create_task(self._upkeep())] if self._upkeep else []
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({stopping, *keepers, *beside}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            for task in (stopping, *beside):
                task.cancel()
            await self._end_all()
            await asyncio.gather(*keepers)
        for task in beside:
            if task.done() and not task.cancelled():
                task.result()
        return self._code

    def _interrupted(self) -> None:
        """The first time: stop in order. The second: kill."""
        if self._stop.is_set():
            self._kill.set()
        self._stop.set()

    async def _keep(self, child: Child) -> None:
        """Runs a process, again whenever it ends by itself. Settings that are wrong end everything."""
        while not self._stop.is_set():
            code = await self._run_once(child)
            if self._stop.is_set():
                return
            if code == BAD_SETTINGS:
                say(f"{child.name} refuses its settings; stopping{child.complaint and f' ({child.complaint})'}")
                self._code = BAD_SETTINGS
                self._stop.set()
                return
            say(f"{child.name} ended with {code}; starting it again")
            try:
                await asyncio.wait_for(self._stop.wait(), RESTART_S)
            except TimeoutError:
                continue

    async def _run_once(self, child: Child) -> int | None:
        process = await asyncio.create_subprocess_exec(
            *child.command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which stops the others in order
            preexec_fn=_end_with_parent,
        )
        child.process = process
        if self._stop.is_set():  # while it was being started
            process.terminate()
        assert process.stdout is not None  # noqa: S101 - piped
        assert process.stderr is not None  # noqa: S101 - piped
        relays = {
            asyncio.create_task(_relay(child, process.stdout, sys.stdout)),
            asyncio.create_task(_relay(child, process.stderr, sys.stderr)),
        }
        await _exited(process)
        _, pending = await asyncio.wait(relays, timeout=LAST_WORDS_S)  # a process that it left behind may hold the pipes
        for relay in pending:
            relay.cancel()
        return process.returncode

    async def _end_all(self) -> None:
        """In the order of the Procfile: what accepts first, what delivers last."""
        for _, alike in groupby(self._children, key=lambda child: child.kind):
            await asyncio.gather(*(self._end(child) for child in alike))

    async def _end(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        ended, killed = asyncio.create_task(_exited(process)), asyncio.create_task(self._kill.wait())
        await asyncio.wait({ended, killed}, timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
        killed.cancel()
        if process.returncode is None:
            say(f"{child.name} does not stop; killing it")
            self._code = self._code or KILLED
            process.kill()
        await ended


async def _exited(process: asyncio.subprocess.Process) -> None:
    """``process.wait()`` would also wait for its pipes, which processes of its own may hold open."""
    while process.returncode is None:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(LOOK_S)


async def _relay(child: Child, source: asyncio.StreamReader, target: TextIO) -> None:
    """Whole lines, so that those of several processes do not mix."""
    rest = b""
    while chunk := await source.read(2**16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            _pass_on(child, line, target)
        if len(rest) > LONGEST_LINE:
            _pass_on(child, rest, target)
            rest = b""
    if rest:
        _pass_on(child, rest, target)


def _pass_on(child: Child, line: bytes, target: TextIO) -> None:
    text = line.decode(errors="replace")
    print(f"{child.name:<12} | {text}", file=target, flush=True)
    _, found, complaint = text.partition(COMPLAINT)
    if found and not text.startswith("{"):  # in a line of JSON it is quoted
        child.complaint = complaint


def _end_with_parent() -> None:
    """Asks the kernel (Linux) to end the process should this one be killed: nothing is left behind holding ports."""
    if _LIBC is not None:
        _LIBC.prctl(_PARENT_DIED, signal.SIGTERM)


def say(text: str) -> None:
    print(f"{'run':<12} | {text}", file=sys.stderr, flush=True)
