"""A limit: a small program that does the least that could be done, run in a process of its own. It prints a line of figures."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from benchmarks.environments import ROOT
from benchmarks.processes import python

LONGEST_S = 900


def limit(name: str, *arguments: str) -> dict[str, Any]:
    """What ``python -m benchmarks.limits.<name>`` printed."""
    return told("benchmarks.limits." + name, *arguments)


def told(module: str, *arguments: str) -> dict[str, Any]:
    """The last line that a module of ours prints when it is run, as JSON."""
    command = python("-m", module, *arguments)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{command} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return answer
