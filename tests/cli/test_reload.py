"""Live reload: a real reloader over a small service in a folder of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.reload import watched
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SERVICE = """
import pathlib, signal, sys, time
lives = pathlib.Path("lives.txt")
def stop(*_):
    with lives.open("a") as file:
        file.write("stopped cleanly\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with lives.open("a") as file:
    file.write("first code\\n")
signal.pause()
"""
CRASHES_ONCE = """
import pathlib
if not pathlib.Path("crashed").exists():
    pathlib.Path("crashed").touch()
    raise SystemExit(75)
"""

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with a service, what it shares with others, another service and tests."""
    for name in ("producer", "shared", "own_handlers", "consumers", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / "appsettings.json").write_text("{}")
    (tmp_path / "producer" / "__main__.py").write_text(SERVICE)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts the reloader; it is ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        with (folder / "reloader.txt").open("wb") as output:
            command = [sys.executable, "-m", "cli.reload", "producer"]
            started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output))
        return started[-1]

    yield begin
    for process in started:
        process.terminate()
        process.wait(20)


def lives(folder: Path) -> list[str]:
    file = folder / "lives.txt"
    return file.read_text().splitlines() if file.exists() else []


async def until(folder: Path, *wanted: str) -> None:
    await eventually(lambda: lives(folder) == list(wanted), what=f"{wanted}; {(folder / 'reloader.txt').read_text()}")


def save(file: Path, text: str) -> None:
    """As editors do: a new file takes the place of the old."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)


async def test_a_saved_file_is_at_work_after_a_clean_stop(folder: Path, start: Start) -> None:
    """The service is stopped as by SIGTERM and started again with the new code; without a change it runs on."""
    start()
    await until(folder, "first code")

    save(folder / "producer" / "__main__.py", SERVICE.replace("first", "second"))

    await until(folder, "first code", "stopped cleanly", "second code")


@pytest.mark.parametrize("name", ["shared/thing.py", "shared/script.lua", "own_handlers/__init__.py", "appsettings.json"])
async def test_what_a_service_is_made_of_is_watched(folder: Path, start: Start, name: str) -> None:
    """Shared code, scripts, a user's own handlers and the settings start it again."""
    start()
    await until(folder, "first code")

    save(folder / name, "{}")

    await until(folder, "first code", "stopped cleanly", "first code")


async def test_sigterm_is_passed_on_and_ends_both(folder: Path, start: Start) -> None:
    """The reloader waits for the clean end of its service and ends with its exit code."""
    process = start()
    await until(folder, "first code")

    process.send_signal(signal.SIGTERM)

    await eventually(lambda: process.poll() is not None, what="the reloader ends")
    assert process.returncode == 0
    assert lives(folder) == ["first code", "stopped cleanly"]


async def test_a_service_that_ends_by_itself_is_started_again(folder: Path, start: Start) -> None:
    """A crash, such as a file saved with a mistake in it, is neither the end nor a wait for the next change alone."""
    (folder / "producer" / "__main__.py").write_text(CRASHES_ONCE + SERVICE)

    start()

    await until(folder, "first code")
    assert "producer ended with 75; starting it again" in (folder / "reloader.txt").read_text()


def test_other_services_tests_and_logs_are_not_watched(folder: Path) -> None:
    """A test that is saved, or a line that is logged, restarts nothing."""
    assert {path.name for path in watched("producer", folder)} == {"producer", "shared", "own_handlers", "appsettings.json"}


def test_an_unknown_service_is_refused(folder: Path) -> None:
    """The names of the services are told, and the exit code is that of a wrong command line."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.reload", "redis"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 2
    assert "producer|dispatcher|consumers" in done.stderr
