"""``make run``: the whole service on this machine. Starts the bundled server where no other is named, then what the Procfile
lists; starts again what ends; stops everything in order: what accepts first, what delivers last, the server after all.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cli.server import BundledServer
from cli.supervisor import Child, Supervisor, say
from shared.errors import SettingsError
from shared.settings import RedisSettings, Settings
from shared.settings_file import load_settings
from shared.store.address import describe_address

DATA = Path("data")
SERVER_PORT = 6390
CONNECTION = "Redis__ConnectionString"
LOOK_S = 0.5
"""How often to look whether the bundled server still runs."""
STOP_MARGIN_S = 5.0
"""How much longer than its grace time a process may take to stop before it is killed."""


def run(scale: dict[str, int], server_port: int = SERVER_PORT) -> int:
    """Runs until Ctrl-C or SIGTERM; returns the exit code. ``server_port``: for the bundled server, where it is free; 0: any.

    Raises ``SettingsError``, ``ServerFailed``.
    """
    settings = load_settings()
    children = read_procfile(Path("Procfile").read_text(encoding="utf-8"), scale)
    grace_s = settings.consumers.grace_ms / 1000 + STOP_MARGIN_S
    if CONNECTION in os.environ or settings.redis.connection_string != RedisSettings().connection_string:
        say(f"Redis at {describe_address(settings.redis.connection_string)}; the bundled server is not started")
        return asyncio.run(_supervise(children, dict(os.environ), grace_s, None))
    with _bundled_server(settings, server_port) as server:
        return asyncio.run(_supervise(children, {**os.environ, CONNECTION: server.url}, grace_s, server))


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
        children += [Child(f"{name}.{number}" if count > 1 else name, name, words) for number in range(1, count + 1)]
    return children


@contextmanager
def _bundled_server(settings: Settings, port: int) -> Iterator[BundledServer]:
    server, started = BundledServer(DATA, _log_in(Path(settings.logging.directory)), port=port), False
    signal.signal(signal.SIGTERM, _interrupt)  # until the supervisor takes signals: the server must not be left behind
    try:
        server.start()
        started = True
        how = "taken over from a run that was killed" if server.adopted else "started"
        say(f"bundled server {how} on port {server.port}, data in {DATA}/; look inside with: redis-cli -p {server.port}")
        yield server
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # its data is being written, and this process ends next
        server.stop()
        if started:
            say("bundled server stopped; its data is kept")


def _log_in(folder: Path) -> Path:
    """The server's log file. Tried before anything is started: the server itself would end without a word."""
    file = folder / "redis.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.open("ab").close()
    except OSError as error:
        raise SettingsError("Logging.Directory", str(folder), f"expected a folder that can be written: {error}") from None
    return file


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


async def _supervise(children: list[Child], environment: dict[str, str], grace_s: float, server: BundledServer | None) -> int:
    async def upkeep() -> None:
        assert server is not None  # noqa: S101 - not asked for without one
        await _keep_running(server)

    return await Supervisor(children, environment, grace_s, upkeep if server else None).run()


async def _keep_running(server: BundledServer) -> None:
    """Starts the server again, on its port and its data, whenever it ends by itself.

    Raises ``ServerFailed`` where that fails, which ends the run: on that port the services would talk to a stranger.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        if not await asyncio.to_thread(server.is_running):
            say("the bundled server has ended; starting it again")
            await asyncio.to_thread(server.start)
