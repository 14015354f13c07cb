"""The service under test: real processes on a real server, each behind a link of its own, and who replaces the dead."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp
from redis.crc import key_slot

from tests.chaos.backing import Backing
from tests.chaos.link import Link
from tests.chaos.process import ORDERED
from tests.support.waiting import eventually
from tests.system.service import ROOT, Process

PREFIX = "chaos"
TOPICS = ("chaos", "chaos-async")
FLOW_KEYS = ("a", "b", "c")
FLOW_KEY_LIMIT = {"Concurrency": 4, "Rate": 20, "PeriodMs": 500}
SERVICES = ("producer", "dispatcher", "consumers")
DEADLINE_MS = 1500
LEASE_MS = 1000
MAX_ATTEMPTS = 4
RETRY_MS = 200
RETRY_JITTER = 0.2
SUPERVISE_S = 0.02


class Shape(NamedTuple):
    """How the service is started, and on what."""

    form: str = "server"
    appendfsync: str = "always"
    durability: str = "memory"
    partitions: int = 1
    producers: int = 2
    dispatchers: int = 2
    workers: int = 3
    tree: Path = ROOT


class Member:
    """One process, its link and its clock."""

    def __init__(self, service: str, name: str, process: Process, link: Link, clock: Path) -> None:
        self.service, self.name, self.process, self.link, self.clock = service, name, process, link, clock
        self.url = ""
        self.expected_end = False
        """Whether it was told to end, or killed: its end is no surprise."""
        self.busy = False
        """Whether a fault is at work on it."""

    def step_clock(self, seconds: float) -> None:
        self.clock.write_text(str(seconds), encoding="utf-8")


class Stage:
    def __init__(self, backing: Backing, folder: Path, shape: Shape, died: Callable[[str], None]) -> None:
        """``died``: told the name of a worker whose process has ended though nobody from outside ended it."""
        self.backing, self.folder, self.shape = backing, folder, shape
        self.members: list[Member] = []
        """Those that are alive, as far as is known."""
        self._retired: list[Member] = []
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3))
        self._died = died
        self._numbers = dict.fromkeys(SERVICES, 0)
        self._supervising: asyncio.Task[None] | None = None
        self._spawning: set[asyncio.Task[object]] = set()
        self.crashes: list[str] = []
        """Processes that ended though nobody ended them, and how: programmers' errors."""
        self._closing = False

    async def start(self) -> None:
        for service, count in zip(SERVICES, (self.shape.producers, self.shape.dispatchers, self.shape.workers), strict=True):
            for _ in range(count):
                await self.spawn(service)
        for member in self.members:
            member.url = await member.process.url()
        await eventually(self.is_ready, within_s=60, what="the service is ready")
        self._supervising = asyncio.create_task(self._supervise())

    async def spawn(self, service: str) -> Member:
        """A new process of that service, under a name that none had before."""
        self._numbers[service] += 1
        name = f"{service}-{self._numbers[service]}"
        link = Link(self.backing.port)
        await link.start()
        clock = self.folder / f"{name}.clock"
        command = [sys.executable, "-m", "tests.chaos.process", service]
        environment = self._environment(link.port) | {"CHAOS_NAME": name, "CHAOS_CLOCK": str(clock)}
        process = Process(service, name, environment, self.folder, command=command, cwd=self.shape.tree)
        member = Member(service, name, process, link, clock)
        self.members.append(member)
        return member

    def _environment(self, port: int) -> dict[str, str]:
        topics = [
            {"Name": name, "Handler": "tests.chaos.handlers", "DeadlineMs": DEADLINE_MS, "FlowKeyLimit": FLOW_KEY_LIMIT}
            for name in TOPICS
        ]  # fmt: skip
        return {
            **{name: value for name, value in os.environ.items() if "__" not in name},
            "APPSETTINGS": str(self.shape.tree / "appsettings.json"),
            "Redis__ConnectionString": self.backing.connection_string(port),
            "Redis__KeyPrefix": PREFIX,
            "Redis__TimeoutMs": "1000",
            "Producer__Port": "0",
            "Dispatcher__Port": "0",
            "Consumers__Port": "0",
            "Consumers__LeaseMs": str(LEASE_MS),
            "Consumers__ClaimMaxMs": "4000",
            "Consumers__GraceMs": str(2 * DEADLINE_MS),
            "Consumers__MaxAbandonedThreads": "1000",
            "Retry__MaxAttempts": str(MAX_ATTEMPTS),
            "Retry__InitialMs": str(RETRY_MS),
            "Retry__Jitter": str(RETRY_JITTER),
            "Partitions": str(self.shape.partitions),
            "Durability": self.shape.durability,
            "Redis__Replicas": str(self.backing.replicas),
            "Logging__Directory": str(self.folder / "logs"),
            "Topics": json.dumps(topics),
            "CHAOS_FOLDER": str(self.folder),
        }

    @property
    def slots(self) -> list[int]:
        """Where a cluster keeps the partitions: each one's number is the hash tag of its keys."""
        return [int(key_slot(str(number).encode())) for number in range(self.shape.partitions)]

    def of(self, service: str) -> list[Member]:
        return [member for member in self.members if member.service == service and not member.expected_end]

    async def replace(self, member: Member) -> None:
        """Takes a process that has ended, or was told to, off the list, and starts another."""
        member.expected_end = True
        if member in self.members:
            self.members.remove(member)
            self._retired.append(member)
        if not self._closing:
            fresh = await self.spawn(member.service)
            with suppress(AssertionError):  # it has ended before it listened: whoever watches it replaces it
                fresh.url = await fresh.process.url()

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(SUPERVISE_S)
            for member in tuple(self.members):
                if not member.expected_end and member.process.process.poll() is not None:
                    self._note_end(member, ORDERED)
                    self._died(member.name)
                    member.expected_end = True
                    task = asyncio.create_task(self.replace(member))
                    self._spawning.add(task)
                    task.add_done_callback(self._spawning.discard)

    def _note_end(self, member: Member, *usual: int) -> None:
        code = member.process.process.returncode
        if code not in usual:
            self.crashes.append(f"{member.name} ended with {code}: {member.process.err.read_text()[-2000:]}")

    async def is_ready(self) -> bool:
        """Whether every process says so."""
        return all(await asyncio.gather(*(self._says_ready(member) for member in tuple(self.members))))

    async def _says_ready(self, member: Member) -> bool:
        if not member.url:
            return False
        try:
            async with self.http.get(f"{member.url}/health/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def close(self) -> None:
        """Ends every process, by pid."""
        self._closing = True
        if self._supervising is not None:
            self._supervising.cancel()
        for task in self._spawning:
            task.cancel()
        everybody = [*self.members, *self._retired]
        for member in everybody:
            member.link.release()
            if member.process.process.poll() is None:
                member.process.send(signal.SIGCONT)
                member.process.send(signal.SIGTERM)
        for member in everybody:
            await _end(member.process)
            self._note_end(member, 0, ORDERED, -signal.SIGKILL)
            await member.link.stop()
        await self.backing.close()
        await self.http.close()


async def _end(process: Process) -> None:
    try:
        await process.ended(within_s=8)
    except AssertionError:
        process.kill()
