"""``make run`` in a working copy of its own: the code of this repository, its own ``data/``, ``logs/`` and settings file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from cli.loopback import ask
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
LINKED = ("Makefile", "Procfile", "requirements.txt", "constraints.txt", "cli", "consumers", "dispatcher", "examples", "producer",
          "shared")  # fmt: skip
_LISTENING = re.compile(r"^producer +\| .*listening on (http://\S+)", re.MULTILINE)
_STARTED = "{name} starts; log file"


class MakeRun:
    """One at a time runs in ``folder``; it can be stopped and started again."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for name in LINKED:
            if (ROOT / name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        if not (folder / "appsettings.json").exists():
            shutil.copy(ROOT / "appsettings.json", folder)
        self._environment = {
            **{name: value for name, value in os.environ.items() if "__" not in name and not name.startswith("MAKE")},
            "Producer__Port": "0",
            "Dispatcher__Port": "0",
            "Consumers__Port": "0",
            **environment,
        }
        self._environment.pop("APPSETTINGS", None)
        self._runs = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """What this run has printed, standard output and standard error together."""
        return (self.folder / f"run-{self._runs}.txt").read_text(encoding="utf-8", errors="replace")

    def spawn(self, *, make: bool = False, consumers: int = 1, server_port: int = 0) -> None:
        self._runs += 1
        command = [sys.executable, "-m", "cli", "run", "--scale", f"consumers={consumers}", "--server-port", str(server_port)]
        if make and shutil.which("make"):
            command = ["make", "run", f"VENV={self._venv()}", f"CONSUMERS={consumers}"]
        with (self.folder / f"run-{self._runs}.txt").open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _venv(self) -> Path:
        """What the Makefile takes for an installed environment: this interpreter."""
        venv = self.folder / "venv"
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        python = venv / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (venv / ".installed").touch()
        return venv

    async def start(self, *, make: bool = False, consumers: int = 1, server_port: int = 0) -> None:
        self.spawn(make=make, consumers=consumers, server_port=server_port)
        await eventually(self._is_up, within_s=40, what="the service is up")
        await eventually(self._is_ready, within_s=20, what="the producer is ready")

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        return bool(_LISTENING.search(self.output)) and all(
            _STARTED.format(name=name) in self.output for name in ("dispatcher", "consumers")
        )

    async def _is_ready(self) -> bool:
        try:
            status, _ = await self.call("GET", "/health/ready")
        except aiohttp.ClientError:
            return False
        return status == 200

    @property
    def url(self) -> str:
        return str(_LISTENING.findall(self.output)[-1])

    async def call(self, method: str, path: str, json: object = None) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as http, http.request(method, f"{self.url}{path}", json=json) as answer:
            return answer.status, await answer.json(content_type=None)

    async def printed(self, pattern: str, within_s: float = 20.0) -> re.Match[str]:
        """The first line that holds the pattern."""
        found = await eventually(
            lambda: re.search(f"^.*{pattern}.*$", self.output, re.MULTILINE), within_s=within_s, what=f"{pattern!r} is printed"
        )
        assert isinstance(found, re.Match)
        return found

    def pids(self, service: str) -> list[int]:
        """Of each process of that kind that was ever started, oldest first."""
        return [int(pid) for pid in re.findall(rf"{service}\[(\d+)\] {service} starts", self.output)]

    @property
    def server_port(self) -> int:
        return int((self.folder / "data" / "redis.port").read_text())

    def server_answers(self) -> bool:
        try:
            return ask(self.server_port, "PING").startswith("+PONG")
        except OSError:
            return False

    def server_pid(self) -> int:
        found = re.search(r"process_id:(\d+)", ask(self.server_port, "INFO", "server"))
        assert found
        return int(found[1])

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to everything in the terminal's foreground."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)

    async def ended(self, within_s: float = 20.0) -> int:
        process = self.process
        assert process is not None
        await eventually(lambda: process.poll() is not None, within_s=within_s, what="make run ends")
        return int(process.returncode)

    def clean_up(self) -> None:
        """Nothing is left running, however the test ended."""
        if self.process is not None and self.process.poll() is None:
            self.interrupt()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if (self.folder / "data" / "redis.port").exists() and self.server_answers():
            ask(self.server_port, "SHUTDOWN", "NOSAVE")


def taken_port(port: int = 0) -> socket.socket:
    """A socket that listens on a port of loopback, until it is closed. Raises ``OSError``."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
        taken.listen()
    except OSError:
        taken.close()
        raise
    return taken
