"""B4: what the producer accepts: single messages over 64 connections, and batches of 1,000; answers' times beside it.

The load comes from a process of its own, which needs a quarter of what the smallest application does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.plan import Found, Plan
from benchmarks.processes import Process, python
from benchmarks.report.names import BATCHES, ONE_AT_A_TIME, PIPELINED_WRITES, REDIS_BENCHMARK, SMALLEST_APP
from benchmarks.results import OURS, Line
from benchmarks.server import Server
from benchmarks.subjects.limit import limit, told
from benchmarks.subjects.service import Service
from benchmarks.subjects.subject import FAR

CONNECTIONS = 64
REQUESTS, QUICK_REQUESTS = 40_000, 6_000
WARM_REQUESTS = 2_000
BATCH, BATCH_CONNECTIONS = 1_000, 4
BATCHES_SENT, QUICK_BATCHES = 200, 30
READY_S = 30.0
BULK_PEER = "bullmq"
"""The peer that has a call for many at once."""


def run(plan: Plan) -> Iterator[Found]:
    requests = plan.sized(REQUESTS, QUICK_REQUESTS)
    batches = plan.sized(BATCHES_SENT, QUICK_BATCHES)
    for _ in plan.rounds():
        with Server() as server, Service().open(server) as session:
            plan.doing(f"this service: {ONE_AT_A_TIME}")
            yield Line(
                "B4",
                ONE_AT_A_TIME,
                OURS,
                _one_at_a_time(session.producer, f"http://127.0.0.1:{session.port}/echoAtTime", requests),
            )
            plan.doing(f"this service: {BATCHES}")
            yield Line(
                "B4", BATCHES, OURS, _batches(session.producer, f"http://127.0.0.1:{session.port}/messages/batch", batches)
            )
        plan.doing(SMALLEST_APP)
        yield _smallest_app(requests)
        plan.doing(PIPELINED_WRITES)
        yield from _writes(batches * BATCH)
        plan.doing(REDIS_BENCHMARK)
        yield _redis_benchmark(batches * BATCH)
        for peer in plan.peers:
            if peer.name == BULK_PEER:
                plan.doing(f"{peer.name}: {BATCHES}")
                with Server() as server, peer.open(server) as filling:
                    seconds = filling.fill(batches * BATCH, due=FAR)
                    cpu_us = (filling.cpu_s() + server.cpu_s()) / (batches * BATCH) * 1e6
                figures = {"messages_per_s": batches * BATCH / seconds, "cpu_us_per_message": cpu_us}
                yield Line("B4", BATCHES, peer.name, figures, "addBulk in the caller's own process: no HTTP")


def _one_at_a_time(process: Process, url: str, requests: int) -> dict[str, float]:
    found, used_s = _load(process, WARM_REQUESTS, requests, "--url", url, "--connections", str(CONNECTIONS))
    return {
        "requests_per_s": found["per_s"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "max_ms": found["max_ms"],
        "cpu_us_per_request": used_s / requests * 1e6,
        "client_cpu_us": found["cpu_s"] / requests * 1e6,
    }


def _batches(process: Process, url: str, batches: int) -> dict[str, float]:
    many = ("--url", url, "--connections", str(BATCH_CONNECTIONS), "--batch", str(BATCH))
    found, used_s = _load(process, BATCH_CONNECTIONS, batches, *many)
    return {
        "messages_per_s": found["messages_per_s"],
        "p99_ms": found["p99_ms"],
        "cpu_us_per_message": used_s / (batches * BATCH) * 1e6,
    }


def _load(process: Process, warm: int, requests: int, *arguments: str) -> tuple[dict[str, Any], float]:
    """What the load says of so many requests, after some to get warm; and the processor time of who answered them."""
    told("benchmarks.load", *arguments, "--requests", str(warm))
    before_s = process.cpu_s()
    found = told("benchmarks.load", *arguments, "--requests", str(requests))
    used_s = process.cpu_s() - before_s
    if found["failures"]:
        raise RuntimeError(f"requests failed: {found}")
    return found, used_s


def _smallest_app(requests: int) -> Line:
    with Server() as server, Process(python("-m", "benchmarks.limits.smallest_app"), server.folder / "app.log") as app:
        until = time.monotonic() + READY_S
        while not app.said().startswith("ready ") or "\n" not in app.said():
            app.check()
            if time.monotonic() > until:
                raise RuntimeError("the smallest application does not listen")
            time.sleep(0.01)
        port = app.said().split()[1]
        return Line("B4", ONE_AT_A_TIME, SMALLEST_APP, _one_at_a_time(app, f"http://127.0.0.1:{port}/echoAtTime", requests))


def _writes(count: int) -> Iterator[Line]:
    for what, name, note in (
        ("write", PIPELINED_WRITES, "ZADD and HSET for each message, a hundred messages in a pipeline; no HTTP"),
        ("write_many", f"{PIPELINED_WRITES}, a hundred in each command", "one ZADD and one HSET for a hundred; no HTTP"),
    ):
        with Server() as server:
            found = limit("pipelines", what, "--redis", server.url, "--count", str(count))
        cpu_us = (found["cpu_s"] + found["server_cpu_s"]) / found["count"] * 1e6
        yield Line("B4", BATCHES, name, {"messages_per_s": float(found["per_s"]), "cpu_us_per_message": cpu_us}, note)


def _redis_benchmark(count: int) -> Line:
    """Nothing of it is a message: what the server does when whoever asks costs next to nothing."""
    with Server() as server:
        found = limit("command", "--redis", server.url, "--count", str(count))
    if "zadd_per_s" not in found:
        return Line("B4", BATCHES, REDIS_BENCHMARK, {}, "not measured: neither redis-benchmark nor valkey-benchmark is installed")
    figures = {"messages_per_s": float(found["zadd_per_s"]), "cpu_us_per_message": float(found["zadd_server_cpu_us"])}
    return Line("B4", BATCHES, REDIS_BENCHMARK, figures, f"{found['tool']}: ZADD alone; CPU of the server alone")
