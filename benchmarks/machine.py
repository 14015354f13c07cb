"""What a run was made on, in words."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.environments import ROOT
from benchmarks.server import Server

OURS = ("redis", "hiredis", "aiohttp", "msgspec", "apscheduler")
"""Packages that this service and the limits stand on."""


def machine() -> dict[str, str]:
    """Processor, memory, system, Python, the server's build and allocator, our commit."""
    with Server() as server:
        about = server.describe()
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {_distribution()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **about,
        "commit": _commit(),
    }


def package_versions() -> dict[str, str]:
    """Of what this service and the limits stand on."""
    found = {}
    for name in OURS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return platform.platform()


def _commit() -> str:
    """The commit, and whether something was changed since."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    ended = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return ended.stdout.strip() or "unknown"
