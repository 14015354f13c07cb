"""An environment for each peer, made once: a venv or a folder of node modules, with the versions that its adapter pins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ADAPTERS = Path(__file__).parent / "peers"
MADE = "made"
INSTALL_S = 900


class NotInstalled(Exception):
    """The environment cannot be made here; the text says why."""


@dataclass(frozen=True)
class Environment:
    """How an adapter is started."""

    name: str
    command: list[str]
    """Before the adapter's own arguments."""

    def variables(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "NODE_ENV": "production"}


def environment(name: str, folder: Path) -> Environment:
    """The environment of a peer below ``folder``, made where it is missing or its pins changed. Raises ``NotInstalled``."""
    adapter, place = ADAPTERS / name, folder / name
    if (adapter / "package.json").exists():
        return Environment(name, _node(adapter, place))
    return Environment(name, _python(adapter, place))


def _python(adapter: Path, place: Path) -> list[str]:
    pins, made = adapter / "requirements.txt", place / MADE
    interpreter = place / "bin" / "python"
    if not _is_made(made, pins):
        shutil.rmtree(place, ignore_errors=True)
        _install(sys.executable, "-m", "venv", str(place))
        _install(str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(pins))
        made.write_bytes(pins.read_bytes())
    return [str(interpreter), str(adapter / "peer.py")]


def _node(adapter: Path, place: Path) -> list[str]:
    pins, made = adapter / "package.json", place / MADE
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotInstalled("Node.js and npm are not on this machine")
    if not _is_made(made, pins):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(adapter, place)
        _install("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(place))
        made.write_bytes(pins.read_bytes())
    shutil.copy(adapter / "peer.mjs", place / "peer.mjs")
    return ["node", str(place / "peer.mjs")]


def _is_made(made: Path, pins: Path) -> bool:
    return made.exists() and made.read_bytes() == pins.read_bytes()


def _install(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if ended.returncode != 0:
        raise NotInstalled(f"{' '.join(command[:4])} ... ended with {ended.returncode}: {ended.stderr[-500:]}")
