"""The data folder of the bundled server: who uses it, and on which port its server answers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class FolderInUse(Exception):
    """Another run uses the folder."""


class FolderNotWritable(Exception):
    """Nothing can be kept in it."""


class DataFolder:
    """One at a time may use it. The lock ends with the process that holds it, however that ends."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._held: IO[str] | None = None

    def lock(self) -> None:
        """Takes the folder, made where it is missing; nothing where it is held already.

        Raises ``FolderInUse``, ``FolderNotWritable``.
        """
        if self._held is not None:
            return
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise FolderInUse(f"{self.path} is in use by process {holder}: stop that one first, or give another Redis") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._held = file

    def server_lock(self) -> IO[str] | None:
        """A lock to hand down to the server, which so holds the folder as long as it lives; ``None`` while one does.

        Raises ``FolderNotWritable``.
        """
        with self._writing():
            file = (self.path / ".server.lock").open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def unlock(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    @property
    def port(self) -> int | None:
        """The port that was noted last."""
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):
            return None

    @port.setter
    def port(self, port: int) -> None:
        fresh = self.path / ".redis.port"
        with self._writing():
            fresh.write_text(f"{port}\n")
            fresh.replace(self._port_file)  # whole, for whoever reads it meanwhile

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FolderNotWritable(
                f"{self.path} cannot be written ({error.strerror or error}): make it a folder that this user may write, "
                "or give another Redis with Redis__ConnectionString"
            ) from None

    @property
    def _port_file(self) -> Path:
        """For people: ``redis-cli -p $(cat data/redis.port)``."""
        return self.path / "redis.port"
