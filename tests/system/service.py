"""Starts the real processes for a test and ends them after it, by pid."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TOPICS = json.dumps(
    [
        {"Name": "work", "Handler": "tests.system.recording"},
        {"Name": "async-work", "Handler": "tests.system.recording"},
    ]
)
_LISTENING = re.compile(r"listening on (http://\S+)")


class Process:
    """One process of the service. Its output goes to files; its port is read from its log."""

    def __init__(
        self,
        service: str,
        name: str,
        environment: dict[str, str],
        folder: Path,
        *,
        command: list[str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        """``command``: what to start instead of the service's own module."""
        self.name = name
        started = command or [sys.executable, "-m", service]
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(started, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def url(self) -> str:
        def listening() -> str:
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.err.read_text()}"
            found = _LISTENING.search(self.err.read_text())
            return found[1] if found else ""

        return str(await eventually(listening, within_s=30, what=f"{self.name} listens"))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        self.process.kill()
        self.process.wait()

    async def ended(self, within_s: float = 20.0) -> int:
        await eventually(lambda: self.process.poll() is not None, within_s=within_s, what=f"{self.name} ends")
        return int(self.process.returncode)


class Service:
    """A whole service on one server, under one key prefix."""

    def __init__(self, redis_url: str, prefix: str, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.record_file = folder / "record.jsonl"
        self.record_file.touch()
        self.processes: list[Process] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if "__" not in name},
            "APPSETTINGS": str(ROOT / "appsettings.json"),
            "Redis__ConnectionString": redis_url,
            "Redis__KeyPrefix": prefix,
            "Producer__Port": "0",
            "Dispatcher__Port": "0",
            "Consumers__Port": "0",
            "Logging__Directory": str(folder / "logs"),
            "Topics": TOPICS,
            "RECORD_FILE": str(self.record_file),
            **{name: str(value) for name, value in settings.items()},
        }
        self.http = aiohttp.ClientSession()
        self.producer_url = ""

    async def start(self, *, producers: int = 1, dispatchers: int = 1, consumers: int = 1) -> None:
        started = [self.spawn("producer") for _ in range(producers)]
        for _ in range(dispatchers):
            self.spawn("dispatcher")
        for _ in range(consumers):
            self.spawn("consumers")
        self.producer_url = await started[0].url()
        for process in self.processes:
            await self.ready(process)

    def spawn(self, service: str, **settings: str) -> Process:
        """One more process; ``settings``: its own, besides those of the service."""
        number = sum(1 for one in self.processes if one.name.startswith(service)) + 1
        process = Process(service, f"{service}-{number}", {**self.environment, **settings}, self.folder)
        self.processes.append(process)
        return process

    async def ready(self, process: Process, *, expected: bool = True, within_s: float = 20.0) -> None:
        url = await process.url()

        async def asked() -> bool:
            try:
                async with self.http.get(f"{url}/health/ready") as answer:
                    return (answer.status == 200) is expected
            except aiohttp.ClientError:
                return False

        await eventually(asked, within_s=within_s, what=f"{process.name} ready: {expected}")

    def named(self, service: str) -> list[Process]:
        return [one for one in self.processes if one.name.startswith(service)]

    async def call(self, method: str, path: str, json: object = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        async with self.http.request(method, f"{self.producer_url}{path}", json=json, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    def records(self, event: str | None = None) -> list[dict[str, Any]]:
        """What the handlers noted so far."""
        lines = self.record_file.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [one for one in found if event in (None, one["event"])]

    async def settled(self, message_id: str, within_s: float = 20.0) -> Any:
        """The message once it is delivered, dead, expired or cancelled."""

        async def look() -> Any:
            _, message = await self.call("GET", f"/messages/{message_id}")
            return message if message.get("status") in {"delivered", "dead", "expired", "cancelled"} else None

        return await eventually(look, within_s=within_s, what=f"{message_id} is settled")

    async def all_ended(self, count: int, within_s: float = 60.0) -> None:
        """Waits until that many different messages have been run to their end."""

        def ended() -> bool:
            return len({one["id"] for one in self.records("end")}) >= count

        await eventually(ended, within_s=within_s, what=f"{count} messages have ended")

    async def drained(self, within_s: float = 20.0) -> None:
        """Waits until no message is waiting, ready or running."""

        async def empty() -> bool:
            _, health = await self.call("GET", "/health")
            states = ("scheduled", "ready", "running")
            return health["status"] == "ok" and not any(topic.get(state) for topic in health["topics"] for state in states)

        await eventually(empty, within_s=within_s, what="nothing is left to deliver")

    async def stop(self) -> None:
        """SIGTERM to all, SIGKILL to what does not end."""
        for process in self.processes:
            if process.process.poll() is None:
                process.send(signal.SIGCONT)
                process.send(signal.SIGTERM)
        for process in self.processes:
            try:
                process.process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        await self.http.close()
