"""The service of ``compose.yaml`` in a fresh copy of this tree, under a project name and on a port of its own. Other compose
files can be laid over it.

It never touches the containers, the volume or the ``logs/`` of a service that somebody runs from this tree.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from typing import Any

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".git", ".venv", ".env", "data", "logs", "__pycache__", ".*_cache")
LONGEST_S = 900.0
"""No command of Docker takes longer; building without a cache, on a slow line, takes the longest."""
SOMEBODY = 4242
"""Owner of the copy, where the tests may give it away: neither root nor the containers' user."""

HANDLERS = """
import time

from consumers import Message, handler


@handler("slow")
def slow(message: Message) -> None:
    time.sleep(message.json()["seconds"])
"""


class CommandFailed(AssertionError):
    """A command ended with another code than 0; its output is the text."""


class Compose:
    """One project. ``up`` starts it, ``remove`` leaves nothing of it."""

    def __init__(self, folder: Path, *files: str) -> None:
        """``files``: what is laid over ``compose.yaml``."""
        self.folder, self._files = folder, ":".join(("compose.yaml", *files))
        self.project = f"mss-test-{token_hex(4)}"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (folder / "logs").mkdir()
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)

    def add_slow_topic(self) -> None:
        """What the README tells a user to do: a module with a handler, named in the settings."""
        package = self.folder / "own_handlers"
        package.mkdir()
        (package / "__init__.py").write_text(HANDLERS)
        file = self.folder / "appsettings.json"
        settings = json.loads(file.read_text())
        settings["Topics"] = [{"Name": "slow", "Handler": "own_handlers"}]
        settings["Consumers"] = {"LeaseMs": 2000}
        file.write_text(json.dumps(settings))

    def __call__(self, *words: str, **environment: str) -> str:
        """``docker compose …``; returns what it printed. Raises ``CommandFailed`` with all output where it fails."""
        command = ["docker", "compose", "--project-name", self.project, *words]
        return _run(command, self.folder, PRODUCER_PORT="0", COMPOSE_FILE=self._files, **environment)

    def up(self, *words: str) -> None:
        """Returns when all are healthy."""
        self("up", "--detach", "--wait", *words)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """The running containers of a service, by name."""
        lines = self("ps", "--format", "json", service).splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda one: str(one["Name"]))

    def inspect(self, container: str) -> dict[str, Any]:
        (found,) = json.loads(_run(["docker", "inspect", container], self.folder))
        return dict(found)

    def published(self, services: Iterable[str]) -> set[str]:
        """Those of the services of which a port can be reached from outside of their network."""
        names = {service: [one["Name"] for one in self.containers(service)] for service in services}
        ports = {service: [self.inspect(name)["NetworkSettings"]["Ports"] for name in found] for service, found in names.items()}
        return {service for service, found in ports.items() for one in found if any(one.values())}

    def stop(self, services: Iterable[str]) -> dict[str, int]:
        """Stops everything; the exit codes of the services' containers."""
        names = {service: [one["Name"] for one in self.containers(service)] for service in services}
        self("stop")
        return {name: int(self.inspect(name)["State"]["ExitCode"]) for found in names.values() for name in found}

    def kill(self, container: str) -> None:
        _run(["docker", "kill", "--signal", "KILL", container], self.folder)

    @property
    def url(self) -> str:
        return f"http://{self('port', 'producer', '3000').strip()}"

    def redis(self, *words: str, service: str = "redis") -> str:
        """What ``redis-cli`` shows."""
        return self("exec", "--no-TTY", service, "redis-cli", "--raw", *words)

    def role(self, service: str) -> list[str]:
        """What a server is. One that is just becoming a replica closes its connections: it is ``none`` of anything yet."""
        try:
            return self.redis("role", service=service).split()
        except CommandFailed:
            return ["none"]

    def remove(self) -> None:
        """Fails where anything is left."""
        self("--profile", "test", "down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5")
        label = f"label=com.docker.compose.project={self.project}"
        for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"], ["image", "ls"]):
            left = _run(["docker", *kind, "--filter", label, "--quiet"], self.folder)
            assert left == "", f"docker {' '.join(kind)} still shows {left}"


def _run(command: list[str], folder: Path, **environment: str) -> str:
    inherited = {
        name: value for name, value in os.environ.items() if "__" not in name and name not in {"CONSUMERS", "COMPOSE_FILE"}
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def why_no_engine() -> str:
    """Why no containers can run here; empty where they can."""
    for command in (["docker", "info", "--format", "{{.ServerVersion}}"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"no Docker engine: {error}"
        if done.returncode != 0:
            return f"{' '.join(command)}: {done.stderr.strip() or 'failed'}"
    return ""
