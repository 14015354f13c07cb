"""What the server alone can do: commands a second as ``redis-benchmark -P 16`` counts them, where it or Valkey's is on PATH."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from urllib.parse import unquote, urlsplit

from redis import Redis

from benchmarks.limits.measure import PREFIX, Measure, arguments, remove, tell

TOOLS = ("valkey-benchmark", "redis-benchmark")
PIPELINE = 16
RANDOM = "__rand_int__"
"""The tools put a random number of 12 digits in its place."""


def commands(size: int) -> dict[str, list[str]]:
    """The same with either tool, whose own tests differ from release to release."""
    body = "x" * size
    return {
        "set": ["SET", f"{PREFIX}set:{RANDOM}", body],
        "zadd": ["ZADD", f"{PREFIX}zadd", RANDOM, f"message-{RANDOM}"],
        "xadd": ["XADD", f"{PREFIX}xadd", "*", "id", RANDOM, "body", body],
    }


def rate(output: str) -> float:
    """Requests a second, from what the tool prints with ``--csv``: a line of names (not in old releases), one of values."""
    rows = [row for row in csv.reader(io.StringIO(output)) if len(row) > 1]
    column = rows[0].index("rps") if "rps" in rows[0] else 1
    return float(rows[-1][column])


def main() -> None:
    options = arguments(__doc__, count=500_000).parse_args()
    tool = next((tool for tool in TOOLS if shutil.which(tool)), None)
    if tool is None:
        tell("command", tool="not installed")
        return
    url = urlsplit(options.redis)
    where = ["-h", url.hostname or "localhost", "-p", str(url.port or 6379), "--dbnum", url.path.strip("/") or "0"]
    if url.password:
        where += ["-a", unquote(url.password), *(["--user", unquote(url.username)] if url.username else [])]
    how = ["-P", str(PIPELINE), "-n", str(options.count), "-r", str(options.count), "--csv"]
    server = Redis.from_url(options.redis)
    figures: dict[str, float] = {}
    for name, command in commands(options.bytes).items():
        remove(server)
        with Measure(server) as took:
            ended = subprocess.run([tool, *where, *how, *command], capture_output=True, text=True, check=True)
        figures[f"{name}_per_s"] = round(rate(ended.stdout))
        figures[f"{name}_server_cpu_us"] = round(took.server_cpu_s / options.count * 1e6, 2)
    remove(server)
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    tell("command", tool=version, pipeline=PIPELINE, bytes=options.bytes, count=options.count, **figures)


if __name__ == "__main__":
    main()
