"""The slices of the key space and what belongs to each: its keys, its connection, its server's clock."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from redis.crc import key_slot

from shared.clock import RedisClock
from shared.errors import InvalidField, Outage
from shared.events import Outbox
from shared.logs import logger
from shared.settings import Durability, RedisSettings, Settings
from shared.store.commit import GROUPS, Commits, NotSafe
from shared.store.connect import Client, Connections
from shared.store.groups import Groups
from shared.store.keys import Keys
from shared.store.outage import outages
from shared.store.permissions import check_permissions
from shared.store.preflight import Preflight, inspect
from shared.store.scripts import Argument, Script
from shared.store.turns import Turns

Counted = Literal["accepted", "delivered", "failed"]
COUNTED: tuple[Counted, ...] = get_args(Counted)
SILENCE_S = 5.0
"""A subscription that is silent this long is asked for a sign of life, and given up without one."""


@dataclass(slots=True)
class Partition:
    keys: Keys
    connections: Connections
    client: Client
    listening: Client
    """For subscriptions."""
    redis: RedisSettings
    clock: RedisClock = field(default_factory=RedisClock)
    preflight: Preflight | None = None
    """What its server is like; as old as ``Store.inspect``."""
    _inspected_s: float = 0.0
    _permitted: bool = False
    """Whether every command of the scripts was found to be allowed, once."""
    _commits: dict[Durability, Commits] = field(default_factory=dict)
    gathering: dict[str, Groups[Any]] = field(default_factory=dict, init=False)
    """Messages that go together, by topic: see ``accept``."""
    events: Outbox = field(default_factory=Outbox)
    """What this process tells of its messages: while somebody watches, and for the log."""
    counted: Counter[tuple[str, Counted]] = field(default_factory=Counter, init=False)
    """What became of messages here, by topic, since it was last written down: see ``tallies``."""

    @property
    def number(self) -> int:
        return self.keys.partition

    @property
    def slot(self) -> int:
        """Where a cluster keeps the partition: its number is the hash tag of all its keys."""
        return slot_of(self.number)

    def waiting(self, wait_s: float, readers: int = 1) -> Client:
        """One more client, for ``readers`` that wait up to ``wait_s``. Whoever asks for it closes it, or the store does."""
        return self.connections.waiting(wait_s, readers, self.slot)

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], asked: Durability, *done: bytes
    ) -> tuple[Any, Durability]:
        """A script's answer, and how safe what it wrote is by then. ``done``: the answers after which something is to be safe.

        Raises ``NotSafe`` where that is less than asked: after another answer nothing was done, and nothing has to be safe.
        Raises ``InvalidField`` where this server cannot tell, ``Outage``.
        """
        with self._doubting():
            try:
                return await self._run(script, keys, arguments, asked)
            except NotSafe as unsafe:
                if unsafe.answer[0] in done:
                    raise
                return unsafe.answer, "memory"

    async def _run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], asked: Durability
    ) -> tuple[Any, Durability]:
        await self._permit()
        if asked != "memory":
            await self._check(asked)
        if asked == "memory" or (asked == "fsync" and not self._known.can_wait):
            answer = await script.run(self.client, keys, arguments)
            return answer, "fsync" if self._known.always else "memory"
        if asked not in self._commits:
            client = self.waiting(self.redis.confirm_timeout_ms / 1000, GROUPS)
            self._commits[asked] = Commits(client, self.keys.mark, asked, self.redis)
        return await self._commits[asked].run(script, keys, arguments), asked

    async def _check(self, asked: Durability) -> None:
        if not self._is_known:
            await self.inspect()
        if asked == "fsync" and self._known.no_fsync:
            raise InvalidField("Durability", f"expected memory or replica: fsync cannot be had, since {self._known.no_fsync}")

    @property
    def _known(self) -> Preflight:
        """What the server is like; nothing is known of it where that is too old, since a server can be replaced."""
        return self.preflight if self._is_known and self.preflight else Preflight("", (), can_wait=True)

    @property
    def _is_known(self) -> bool:
        return self.preflight is not None and time.monotonic() - self._inspected_s < KNOWN_S

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """After an outage the server may be another one."""
        try:
            yield
        except Outage:
            self._inspected_s = float("-inf")
            raise

    def take_preflight(self, other: Partition) -> None:
        """Of one that lies on the same server."""
        self.preflight, self._inspected_s = other.preflight, other._inspected_s

    async def inspect(self, replicas: int = 0) -> Preflight:
        """Looks at the server. Raises ``Outage``."""
        self.preflight, self._inspected_s = await inspect(self.client, replicas), time.monotonic()
        return self.preflight

    async def synchronise(self) -> None:
        """Reads the server's clock; the first time, looks whether the user may do what the scripts do. Raises ``Outage``."""
        await self._permit()

        async def redis_time_us() -> int:
            seconds, microseconds = await self.client.time()
            return int(seconds) * 1_000_000 + int(microseconds)

        with self._doubting(), outages():
            await self.clock.synchronise(redis_time_us)

    async def _permit(self) -> None:
        if not self._permitted:
            await check_permissions(self.client, self.keys)
            self._permitted = True

    async def register_topics(self, topics: list[str]) -> None:
        """Remembers the topics for ever: one that leaves the settings keeps its messages, and is named. Raises ``Outage``.

        Writes only what is missing: a full Redis refuses every ``SADD``, also one that would change nothing.
        """
        with outages():
            known = await self.client.smismember(self.keys.topics, topics)
            missing = [topic for topic, is_known in zip(topics, known, strict=True) if not is_known]
            if missing:
                await self.client.sadd(self.keys.topics, *missing)


CLOCK_DIFFERS_MS = 1_000
KNOWN_S = 30.0
"""What a server was like may be believed so long."""


class Store:
    """All partitions. Opened once a process, passed in, closed last."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self._connections = Connections(settings.redis, name)
        prefix = settings.redis.key_prefix
        numbers = range(settings.partitions)
        if self._connections.differ:
            clients = [self._clients(slot_of(number), 1) for number in numbers]
        else:
            clients = [self._clients(0, settings.partitions)] * settings.partitions
        self.partitions = [
            Partition(
                Keys(prefix, number), self._connections, *clients[number], settings.redis, events=Outbox(settings.kept_topics())
            )
            for number in numbers
        ]
        self.turns = Turns()

    def _clients(self, slot: int, partitions: int) -> tuple[Client, Client]:
        return self._connections.commands(slot), self._connections.waiting(SILENCE_S, partitions, slot)

    async def synchronise(self) -> None:
        """Reads every partition's clock. Raises ``Outage``."""
        await asyncio.gather(*(partition.synchronise() for partition in self.partitions))

    async def inspect(self) -> Preflight:
        """Looks at every server; gives the first with the warnings of all. Raises ``Outage``."""
        replicas = self.settings.redis.replicas if self.settings.durability == "replica" else 0
        await asyncio.gather(*(one[0].inspect(replicas) for one in self.by_server()))
        for first, *others in self.by_server():
            for other in others:
                other.take_preflight(first)
        found = [one[0].preflight for one in self.by_server()]
        warnings = tuple(dict.fromkeys(warning for one in found if one for warning in one.warnings))
        assert found[0] is not None  # noqa: S101 - just looked at
        return replace(found[0], warnings=(*warnings, *self._clock_warnings()))

    def no_fsync(self) -> str:
        """Why nobody can tell whether a write is on the disk; empty where it can be told, or nothing is known yet."""
        return next((one.preflight.no_fsync for one in self.partitions if one.preflight and one.preflight.no_fsync), "")

    def _clock_warnings(self) -> list[str]:
        differences_ms = [one.clock.difference_ms() for one in self.partitions if one.clock.synchronised]
        furthest_ms = max(differences_ms, key=abs, default=0)
        if abs(furthest_ms) <= CLOCK_DIFFERS_MS:
            return []
        return [f"this host's clock differs from Redis's by {furthest_ms} ms: only Redis's counts, but a clock is wrong"]

    def by_server(self) -> list[list[Partition]]:
        """Partitions that share their connections, and so their server. In a cluster each stands alone: its node may change."""
        groups: dict[int, list[Partition]] = {}
        for partition in self.partitions:
            groups.setdefault(id(partition.client), []).append(partition)
        return list(groups.values())

    async def register_topics(self) -> None:
        """Makes every topic of the settings known. Raises ``Outage``."""
        topics = list(self.settings.all_topics())
        await asyncio.gather(*(partition.register_topics(topics) for partition in self.partitions))

    async def close(self) -> None:
        await self._connections.close()


def slot_of(number: int) -> int:
    slot: int = key_slot(str(number).encode())
    return slot


async def report(store: Store) -> None:
    """Logs what the servers are and what is unsafe about them. An outage meanwhile is left to the work that follows."""
    try:
        found = await store.inspect()
    except Outage:
        return
    logger.info("server: {}", found.server)
    for warning in found.warnings:
        logger.warning("unsafe: {}", warning)
