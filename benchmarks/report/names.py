"""What benchmarks call their subjects, cases and figures. Each name stands here once; who measures uses the same words."""

from __future__ import annotations

from typing import NamedTuple

PYTHON_PEERS = ("docket", "streaq", "arq", "saq", "taskiq", "dramatiq", "celery", "rq", "huey")
PEERS = ("bullmq", *PYTHON_PEERS)
LIMIT = "limit: "
"""What the name of a limit begins with."""
READ_ACK_DELETE = "limit: read-ack-delete"
PIPELINED_WRITES = "limit: pipelined writes"
REDIS_BENCHMARK = "limit: redis-benchmark -P 16"
SMALLEST_APP = "limit: smallest aiohttp app"
BARE_ZSET = "limit: bare ZSET"
BARE_CLIENT = "limit: aiohttp's client alone"

DRAIN = "100-byte bodies, due now"
DRAIN_IN_USE = "the same, with labels, flow key, idempotency key and retention"
LATENESS_RATES = ("200/s", "1,000/s", "5,000/s")
NONE_PENDING = "0 others pending"
MANY_PENDING = "1,000,000 others pending"
HERD = "100,000 in one millisecond"
ONE_AT_A_TIME = "one at a time over 64 connections"
BATCHES = "batches of 1,000"
LEAST = 10_000
"""So many are pending where growth begins."""
WEBHOOKS_NOW = "due now, one host"
WEBHOOKS_HEALTHY = "500/s to 100 hosts"
WEBHOOKS_DEAD = "the same, one of which never answers"
SMALL_BODIES = tuple(f"100-byte bodies, {count} pending" for count in ("10,000", "1,000,000", "10,000,000"))


def pending(count: int) -> str:
    """A case of B6."""
    return f"{count:,} pending"


LEAST_PENDING = pending(LEAST)
UP_TO_A_MILLION = (pending(100_000), pending(1_000_000))
TEN_MILLION = pending(10_000_000)


def beside(case: str) -> str:
    """The case of B6 that is measured in turn with another, on a server with the fewest."""
    return f"{LEAST_PENDING}, in turn with {case}"


def lateness_case(rate: str, others: str) -> str:
    """A case of B2."""
    return f"{rate}, {others}"


class Column(NamedTuple):
    """A figure as a table shows it."""

    key: str
    title: str
    more_is_better: bool | None
    """``None`` where neither more nor less is better."""


FIGURES = (
    Column("messages_per_s", "messages/s", more_is_better=True),
    Column("requests_per_s", "requests/s", more_is_better=True),
    Column("accept_per_s", "accepted/s", more_is_better=True),
    Column("drain_per_s", "drained/s", more_is_better=True),
    Column("seconds", "seconds", more_is_better=False),
    Column("delivered", "delivered", more_is_better=True),
    Column("last_ms", "last, ms", more_is_better=False),
    Column("p50_ms", "p50, ms", more_is_better=False),
    Column("p90_ms", "p90, ms", more_is_better=False),
    Column("p99_ms", "p99, ms", more_is_better=False),
    Column("p999_ms", "p99.9, ms", more_is_better=False),
    Column("p99_ratio", "p99 against without", more_is_better=False),
    Column("max_ms", "max, ms", more_is_better=False),
    Column("earliest_ms", "earliest, ms", more_is_better=None),
    Column("others_p50_ms", "others' p50, ms", more_is_better=False),
    Column("others_p99_ms", "others' p99, ms", more_is_better=False),
    Column("cpu_us_per_message", "CPU us per message", more_is_better=False),
    Column("cpu_us_per_request", "CPU us per request", more_is_better=False),
    Column("cpu_us_processes", "of it processes", more_is_better=False),
    Column("cpu_us_server", "of it server", more_is_better=False),
    Column("fill_per_s", "filled/s", more_is_better=True),
    Column("bytes_per_message", "bytes per message", more_is_better=False),
    Column("producer_mib", "producer, MiB", more_is_better=False),
    Column("dispatcher_mib", "dispatcher, MiB", more_is_better=False),
    Column("worker_mib", "worker, MiB", more_is_better=False),
    Column("dispatch_us", "dispatch, us", more_is_better=False),
    Column("script_ms", "longest script, ms", more_is_better=False),
)
_BY_KEY = {column.key: column for column in FIGURES}


def column(key: str) -> Column:
    """Of any figure; one that is not in the table keeps its name."""
    return _BY_KEY.get(key) or Column(key, key.replace("_per_s", "/s").replace("_", " "), key.endswith("_per_s"))


def in_order(keys: set[str]) -> list[str]:
    """The order of columns: that of the table above, then what is not in it."""
    known = [key for key in _BY_KEY if key in keys]
    return known + sorted(keys - set(known))
