"""The bundled server and its folder: never two on one append-only file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.folder import DataFolder
from cli.server import BundledServer, ServerFailed
from tests.support.waiting import eventually


async def test_what_a_dead_server_left_behind_is_waited_for(tmp_path: Path) -> None:
    """A child that rewrites the file of a server that was killed holds the folder a little longer: then it starts again."""
    server = BundledServer(tmp_path / "data", tmp_path / "redis.log")
    server.start()
    port = server.port
    server.kill()
    child = DataFolder(tmp_path / "data").server_lock()
    assert child is not None

    starting = asyncio.create_task(asyncio.to_thread(server.start))
    finished, _ = await asyncio.wait({starting}, timeout=0.3)
    assert not finished, "started beside one that still writes"
    child.close()
    await starting

    assert (server.port, server.adopted, server.is_running()) == (port, False, True)
    server.stop()


async def test_a_server_left_behind_is_taken_over_and_ended(tmp_path: Path) -> None:
    """After a run that was killed its server lives on: the next one uses it, never a second one beside it."""
    left = BundledServer(tmp_path / "data", tmp_path / "redis.log")
    left.start()
    left._folder.unlock()  # what the end of a killed run does

    server = BundledServer(tmp_path / "data", tmp_path / "redis.log")
    server.start()

    assert (server.adopted, server.port) == (True, left.port)
    server.stop()
    await eventually(lambda: not left.is_running(), what="the process ends after its last answer")


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A second run on the same data says which process uses it."""
    server = BundledServer(tmp_path / "data", tmp_path / "redis.log")
    server.start()

    with pytest.raises(ServerFailed, match="in use by process"):
        BundledServer(tmp_path / "data", tmp_path / "other.log").start()

    server.stop()


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    """A file in the folder's place is one sentence to its owner, no traceback."""
    (tmp_path / "data").touch()

    with pytest.raises(ServerFailed, match=r"data cannot be written .*Redis__ConnectionString"):
        BundledServer(tmp_path / "data", tmp_path / "redis.log").start()


def test_a_folder_that_lets_nobody_note_the_port_is_named(tmp_path: Path) -> None:
    """Also what is written after the lock: here a folder has the place of the note."""
    (tmp_path / "data" / "redis.port").mkdir(parents=True)
    server = BundledServer(tmp_path / "data", tmp_path / "redis.log")

    with pytest.raises(ServerFailed, match="data cannot be written"):
        server.start()

    server.stop()
