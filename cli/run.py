"""``make run``: the whole service on this machine. Starts the bundled server where no other is named, then what the Procfile
lists; starts again what ends; stops everything in order: what accepts first, what delivers last, the server after all.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from cli.server import BundledServer
from shared.lifecycle import BAD_SETTINGS
from shared.settings import RedisSettings
from shared.settings_file import load_settings
from shared.store.connect import describe_address

DATA = Path("data")
SERVER_PORT = 6390
CONNECTION = "Redis__ConnectionString"
RESTART_S = 1.0
STOP_MARGIN_S = 5.0
"""How much longer than its grace time a process may take to stop before it is killed."""
_PARENT_DIED = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""


@dataclass(slots=True)
class Child:
    name: str
    command: list[str]
    process: asyncio.subprocess.Process | None = None
    stopping: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def read_procfile(text: str, scale: dict[str, int]) -> list[Child]:
    """The processes to start, in the order of the file: ``name: command``; ``scale`` says how many of each (1)."""
    children = []
    for line in text.splitlines():
        name, colon, command = line.partition(":")
        if not colon or name.startswith("#"):
            continue
        words = command.split()
        if words[0] == "python":
            words[0] = sys.executable
        count = scale.get(name, 1)
        children += [Child(f"{name}.{number}" if count > 1 else name, words) for number in range(1, count + 1)]
    return children


def run(scale: dict[str, int]) -> int:
    """Runs until Ctrl-C or SIGTERM; returns the exit code. Raises ``SettingsError``, ``ServerFailed``."""
    settings = load_settings()
    environment = dict(os.environ)
    server = None
    if CONNECTION not in environment and settings.redis.connection_string == RedisSettings().connection_string:
        server = BundledServer(DATA, Path(settings.logging.directory) / "redis.log", port=SERVER_PORT)
        server.start()
        environment[CONNECTION] = server.url
        _say(f"bundled server on port {server.port}, data in {DATA}/; look inside with: redis-cli -p {server.port}")
    else:
        address = environment.get(CONNECTION, settings.redis.connection_string)
        _say(f"Redis at {describe_address(address)}")
    grace_s = settings.consumers.grace_ms / 1000 + STOP_MARGIN_S
    children = read_procfile(Path("Procfile").read_text(encoding="utf-8"), scale)
    try:
        return asyncio.run(_Supervisor(children, environment, grace_s).run())
    finally:
        if server is not None:
            server.stop()
            _say("bundled server stopped; its data is kept")


class _Supervisor:
    def __init__(self, children: list[Child], environment: dict[str, str], grace_s: float) -> None:
        self._children = children
        self._environment = environment
        self._grace_s = grace_s
        self._stop = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        await self._stop.wait()
        loop.remove_signal_handler(signal.SIGINT)  # a second Ctrl-C ends at once
        for child in self._children:
            child.stopping = True
        for child in self._children:
            await self._end(child)
        await asyncio.gather(*keepers)
        return self._code

    async def _keep(self, child: Child) -> None:
        """Runs a process, again whenever it ends by itself. Settings that are wrong end everything."""
        while not child.stopping:
            code = await self._run_once(child)
            if self._stop.is_set():
                break
            _say(f"{child.name} ended with {code}; starting it again")
            if code == BAD_SETTINGS:
                self._code = BAD_SETTINGS
                self._stop.set()
                break
            await asyncio.sleep(RESTART_S)
        child.ended.set()

    async def _run_once(self, child: Child) -> int | None:
        child.process = await asyncio.create_subprocess_exec(
            *child.command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which stops the others in order
            preexec_fn=_end_with_parent,
            limit=2**20,
        )
        assert child.process.stdout is not None  # noqa: S101 - piped
        assert child.process.stderr is not None  # noqa: S101 - piped
        await asyncio.gather(
            _relay(child.name, child.process.stdout, sys.stdout),
            _relay(child.name, child.process.stderr, sys.stderr),
            child.process.wait(),
        )
        return child.process.returncode

    async def _end(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(child.ended.wait(), self._grace_s)
        except TimeoutError:
            _say(f"{child.name} does not stop; killing it")
            process.kill()


async def _relay(name: str, source: asyncio.StreamReader, target: TextIO) -> None:
    while True:
        try:
            line = await source.readline()
        except ValueError:  # longer than the limit: the rest follows as a line of its own
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip("\n")
        print(f"{name:<12} | {text}", file=target, flush=True)


def _end_with_parent() -> None:
    """Asks the kernel (Linux) to end the process should this one be killed: nothing is left behind holding ports."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)


def _say(text: str) -> None:
    print(f"{'run':<12} | {text}", file=sys.stderr, flush=True)
