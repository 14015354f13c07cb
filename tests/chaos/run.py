"""One chaos run: a service under load, faults by plan, and then what is left of it all, as a history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import aiohttp
import msgspec
from redis.exceptions import RedisError

from shared.waiting import end
from tests.chaos.backing import private_backing
from tests.chaos.fault_types import holds
from tests.chaos.faults import KINDS, ONE_AT_A_TIME, mend
from tests.chaos.history import AnyEvent, Fault, Final, History, Leftover, Rules, State, append, read
from tests.chaos.plan import QUIET_S, Planned
from tests.chaos.process import true_us
from tests.chaos.recurring import Recurring
from tests.chaos.stage import (
    DEADLINE_MS,
    FLOW_KEY_LIMIT,
    LEASE_MS,
    MAX_ATTEMPTS,
    PREFIX,
    RETRY_JITTER,
    RETRY_MS,
    TOPICS,
    Shape,
    Stage,
)
from tests.chaos.workload import Caller
from tests.support.waiting import eventually

CALLERS = 3
PAUSE_S = 0.12
"""Between a caller's calls, on average."""
FAULTS_WANTED = 8
"""So many of the plan are injected, however long a slow machine takes to recover from each; the rest while there is time."""
RECOVERED_WITHIN_S = 20.0
SETTLED_WITHIN_S = 90.0
FOLLOWS_WITHIN_S = 60.0
"""Until every server runs and follows: a sentinel leaves an old master alone for eight seconds."""
LOOKS_AT_ONCE = 16
WATCH_S = 0.2
HISTORY, RULES, ABOUT = "history.jsonl", "rules.json", "about.json"
STAYS = (
    "topics", "counts", "log", "webhooks", "finished", "finished:expiry", "dead", "dead:records",
    "idempotency:", "rate:", "tally:",
)  # fmt: skip
"""What may be left: what is told of finished messages, dead letters, counters, keys with a time to live."""


class About(NamedTuple):
    """What run this was."""

    seed: int
    seconds: float
    form: str
    appendfsync: str
    durability: str


def load(folder: Path) -> History:
    """The history of a run that has ended, from its folder."""
    rules = msgspec.json.decode((folder / RULES).read_bytes(), type=Rules)
    return History(rules, tuple(read([folder / HISTORY, *folder.glob("consumers-*.jsonl")])))


def about(folder: Path) -> About:
    return msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)


class Run:
    def __init__(self, folder: Path, plan: list[Planned], seconds: float, seed: int, shape: Shape) -> None:
        self.folder, self.plan, self.seconds, self.seed, self.shape = folder, plan, seconds, seed, shape
        self._stop = asyncio.Event()
        self._probes = 0
        self._at_work: set[asyncio.Task[None]] = set()
        self._store_faults = asyncio.Lock()

    def note(self, event: AnyEvent) -> None:
        append(self.folder / HISTORY, event)

    def _died(self, worker: str) -> None:
        """A process that ended itself: a handler told it to."""
        now_us = true_us()
        self.note(Fault(at_us=now_us, until_us=now_us, kind="ended by a handler", effect="died", targets=(worker,)))

    async def run(self) -> History:
        """Raises what is wrong with the harness; what is wrong with the service is in the history."""
        (self.folder / HISTORY).touch()
        with private_backing(self.shape.form, self.folder / "server", self.shape.appendfsync) as backing:
            stage = Stage(backing, self.folder, self.shape, self._died)
            try:
                await stage.start()
                watching = asyncio.create_task(self._watch_take_overs(stage))
                recurring = Recurring(stage, self.note)
                await recurring.start()
                looking = asyncio.create_task(recurring.watch())
                try:
                    async with self._callers(stage) as callers:
                        await self._break_by_plan(stage)
                    await mend(stage)
                    await end(looking)
                    refs = await recurring.conclude()
                    await self._settle(stage)
                finally:
                    await end(watching, looking)
                for caller in callers:
                    refs |= caller.refs
                await self._look_at_all(stage, refs)
                await self._look_at_keys(stage)
            finally:
                await stage.close()
        if stage.crashes:
            raise AssertionError("\n".join(stage.crashes))
        self._rules()
        return load(self.folder)

    def _rules(self) -> None:
        shortest_us = int(RETRY_MS * 1000 * (1 - RETRY_JITTER))
        rules = Rules(
            durability=self.shape.durability,  # type: ignore[arg-type] # one of the three, checked at the command line
            appendfsync=self.shape.appendfsync,  # type: ignore[arg-type] # the same
            max_attempts=MAX_ATTEMPTS,
            retry_us=tuple(shortest_us * 2**number for number in range(MAX_ATTEMPTS)),
            deadline_us=DEADLINE_MS * 1000,
            lease_us=LEASE_MS * 1000,
            flow_concurrency=FLOW_KEY_LIMIT["Concurrency"],
        )
        (self.folder / RULES).write_bytes(msgspec.json.encode(rules))
        about = About(self.seed, self.seconds, self.shape.form, self.shape.appendfsync, self.shape.durability)
        (self.folder / ABOUT).write_bytes(msgspec.json.encode(about))

    @asynccontextmanager
    async def _callers(self, stage: Stage) -> AsyncIterator[list[Caller]]:
        callers = [Caller(stage, Random(f"{self.seed} {number}"), self.note, PAUSE_S) for number in range(CALLERS)]  # noqa: S311 - a run that can be had again
        tasks = [asyncio.create_task(caller.run(self._stop)) for caller in callers]
        try:
            yield callers
        finally:
            self._stop.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for caller in callers:
                await caller.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _break_by_plan(self, stage: Stage) -> None:
        until_s = time.monotonic() + self.seconds
        await asyncio.sleep(QUIET_S)
        for position, planned in enumerate(self.plan):
            if position >= FAULTS_WANTED and time.monotonic() > until_s:
                break
            await asyncio.sleep(planned.gap_s)
            task = asyncio.create_task(self._break(stage, planned))
            self._at_work.add(task)
            follower = self.plan[position + 1 : position + 2]
            if not (follower and follower[0].together):
                await self._all_mended()
        await self._all_mended()

    async def _all_mended(self) -> None:
        tasks, self._at_work = self._at_work, set()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _break(self, stage: Stage, planned: Planned) -> None:
        if planned.kind in ONE_AT_A_TIME:
            async with self._store_faults:
                await self._break_one(stage, planned)
        else:
            await self._break_one(stage, planned)

    async def _break_one(self, stage: Stage, planned: Planned) -> None:
        kind, at_us = KINDS[self.shape.form][planned.kind], true_us()
        alone = len(self._at_work) <= 1
        try:
            targets = await kind.run(stage, planned.choice, planned.amount)
        except RedisError as error:  # the store is held by another fault: this one did what it could
            print(f"{planned.kind}: {error}")
            await mend(stage)
            targets = ()
        until_us = true_us()
        fault = Fault(at_us=at_us, until_us=until_us, kind=planned.kind, effect=kind.effect, targets=targets)
        recovered_us = await self._recovered(stage) if alone else 0
        await eventually(
            lambda: asyncio.to_thread(holds, stage.backing.is_whole), within_s=FOLLOWS_WITHIN_S, what="all servers follow"
        )
        self.note(msgspec.structs.replace(fault, recovered_us=recovered_us))

    async def _recovered(self, stage: Stage) -> int:
        """When every process said that it is ready and a message due at once had been delivered; 0: not in time."""
        until_s = time.monotonic() + RECOVERED_WITHIN_S
        while time.monotonic() < until_s:
            if await stage.is_ready() and await self._delivers(stage):
                return true_us()
            await asyncio.sleep(0.02)
        return 0

    async def _delivers(self, stage: Stage) -> bool:
        url = stage.of("producer")[0].url
        try:
            async with stage.http.post(f"{url}/echoAtTime", json={"time": 0, "message": "probe"}) as answer:
                if answer.status != 202:
                    return False
                message_id = (await answer.json())["id"]
            for _ in range(200):
                async with stage.http.get(f"{url}/messages/{message_id}") as answer:
                    if answer.status == 200 and (await answer.json())["status"] == "delivered":
                        return True
                await asyncio.sleep(0.01)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return False

    async def _watch_take_overs(self, stage: Stage) -> None:
        """A server that is slow, not dead, may be replaced as well: what that undoes is the same, though nobody meant it."""
        seen, seen_us = await asyncio.to_thread(stage.backing.reign), true_us()
        while True:
            await asyncio.sleep(WATCH_S)
            asked_us = true_us()
            try:
                reign = await asyncio.to_thread(stage.backing.reign)
            except (RedisError, OSError):
                continue
            if reign != seen:
                self.note(Fault(at_us=seen_us, until_us=true_us(), kind="server replaced", effect="failed_over"))
            seen, seen_us = reign, asked_us

    async def _settle(self, stage: Stage) -> None:
        """Waits until nothing is waiting, ready or running any more; what does not come to that is in the history."""
        until_s = time.monotonic() + SETTLED_WITHIN_S
        while time.monotonic() < until_s:
            try:
                async with stage.http.get(f"{stage.of('producer')[0].url}/health") as answer:
                    health = await answer.json()
            except (aiohttp.ClientError, TimeoutError):
                health = {}
            topics = [topic for topic in health.get("topics", ()) if topic["topic"] in TOPICS]
            left = sum(topic[state] for topic in topics for state in ("scheduled", "ready", "running") if state in topic)
            if health.get("status") == "ok" and not left:
                return
            await asyncio.sleep(0.2)

    async def _look_at_all(self, stage: Stage, refs: dict[str, str]) -> None:
        """Asks the API for the end of every message that was accepted."""
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)
        url = stage.of("producer")[0].url

        async def look(ref: str, message_id: str) -> None:
            async with gate, stage.http.get(f"{url}/messages/{message_id}") as answer:
                view: dict[str, Any] = await answer.json()
            state: State = view["status"] if answer.status == 200 else "unknown"
            self.note(Final(at_us=true_us(), ref=ref, id=message_id, state=state, attempts=view.get("attempts", 0)))

        await asyncio.gather(*(look(ref, message_id) for ref, message_id in refs.items()))

    async def _look_at_keys(self, stage: Stage) -> None:
        """Every key that should not be there any more."""
        for master in stage.backing.masters():
            async for found in master.scan_iter(f"{PREFIX}:*", count=1000):
                key = str(found, "utf-8") if isinstance(found, bytes) else found
                name = key.split("}:", 1)[1]
                if name.startswith("stream:"):
                    groups = await master.xinfo_groups(key)
                    length, pending = await master.xlen(key), sum(group["pending"] for group in groups)
                    if length or pending:
                        self.note(Leftover(at_us=true_us(), key=key, content=f"{length} entries, {pending} pending"))
                elif name not in STAYS and not name.startswith(tuple(one for one in STAYS if one.endswith(":"))):
                    self.note(Leftover(at_us=true_us(), key=key, content=str(await master.type(key))))
