"""``python -m tests.chaos --seconds 120 --seed 7``: break the running service, and judge what it did. See ``make chaos``.

Ends with 0 where every promise was kept, 1 where one was broken, 2 where the run itself failed.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.backing import FORMS
from tests.chaos.checker import judge
from tests.chaos.faults import KINDS
from tests.chaos.history import History
from tests.chaos.plan import make_plan
from tests.chaos.planted import BUGS, ROOT, plant
from tests.chaos.report import report
from tests.chaos.run import Run
from tests.chaos.stage import Shape

LONGEST_S = 86_400
PARTITIONS_OF_CLUSTER = 6
"""Twice as many as masters."""


def main() -> int:
    asked = _asked()
    folder = Path(asked.folder or tempfile.mkdtemp(prefix="chaos-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "history.jsonl").exists():
        sys.stderr.write(f"{folder} holds an earlier run; name another --folder\n")
        return 2
    tree = ROOT
    if asked.plant:
        tree = folder / "tree"
        plant(asked.plant, tree)
    partitions = asked.partitions or (PARTITIONS_OF_CLUSTER if asked.form == "cluster" else 1)
    shape = Shape(asked.form, asked.appendfsync, asked.durability, partitions, tree=tree)
    run = Run(folder, make_plan(asked.seed, asked.seconds, list(KINDS[asked.form])), asked.seconds, asked.seed, shape)
    print(f"seed {asked.seed}, {asked.seconds} s, {shape}; history in {folder}", flush=True)
    started_s = time.monotonic()
    history = asyncio.run(_until_told(run))
    verdict = judge(history)
    print(f"took       {time.monotonic() - started_s:.0f} s")
    for line in report(history, verdict):
        print(line)
    again = f"make chaos SECONDS={asked.seconds} SEED={asked.seed}{_others(asked)}"
    print(f"{'every promise was kept' if verdict.ok else 'BROKEN PROMISES'}; the same plan again: {again}")
    return 0 if verdict.ok else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=_seconds, default=120, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of the plan; a random one without")
    parser.add_argument("--appendfsync", choices=("always", "everysec"), default="always", help="of the server")
    parser.add_argument("--durability", choices=("memory", "fsync", "replica"), default="memory", help="of the service")
    parser.add_argument("--on", dest="form", choices=FORMS, default="server", help="what Redis is: one server, or several")
    parser.add_argument("--partitions", type=int, help="1 without; in a cluster 6")
    parser.add_argument("--plant", choices=sorted(BUGS), help="a bug to plant in a copy of the service: it has to be caught")
    parser.add_argument("--folder", help="for logs and history; a fresh temporary one without")
    return parser.parse_args()


def _others(asked: argparse.Namespace) -> str:
    """The other options, as ``make`` takes them."""
    given = {"on": asked.form, "appendfsync": asked.appendfsync, "durability": asked.durability, "plant": asked.plant}
    usual = {"on": "server", "appendfsync": "always", "durability": "memory", "plant": None}
    words = [f"--{name} {value}" for name, value in given.items() if value != usual[name]]
    words += [f"--partitions {asked.partitions}"] if asked.partitions else []
    return f' CHAOS="{" ".join(words)}"' if words else ""


def _seconds(text: str) -> int:
    seconds = int(text)
    if not 5 <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"expected 5 to {LONGEST_S}")
    return seconds


async def _until_told(run: Run) -> History:
    """Ctrl-C and SIGTERM end the run as an error does: every process is ended."""
    task = asyncio.create_task(run.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        print("stopped: nothing is judged", flush=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    sys.exit(main())
