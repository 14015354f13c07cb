"""The slices of the key space and what belongs to each: its keys, its connection, its server's clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from shared.clock import RedisClock
from shared.settings import Settings
from shared.store.connect import Client, command_client, waiting_client
from shared.store.keys import Keys
from shared.store.outage import outages

SILENCE_S = 5.0
"""A subscription that is silent this long is asked for a sign of life, and given up without one."""


@dataclass(slots=True)
class Partition:
    keys: Keys
    client: Client
    listening: Client
    """For subscriptions."""
    clock: RedisClock = field(default_factory=RedisClock)

    @property
    def number(self) -> int:
        return self.keys.partition

    async def synchronise(self) -> None:
        """Reads the server's clock. Raises ``Outage``."""

        async def redis_time_us() -> int:
            seconds, microseconds = await self.client.time()
            return int(seconds) * 1_000_000 + int(microseconds)

        with outages():
            await self.clock.synchronise(redis_time_us)

    async def register_topics(self, topics: list[str]) -> None:
        """Remembers the topics for ever: one that leaves the settings keeps its messages, and is named. Raises ``Outage``.

        Writes only what is missing: a full Redis refuses every ``SADD``, also one that would change nothing.
        """
        with outages():
            known = await self.client.smismember(self.keys.topics, topics)
            missing = [topic for topic, is_known in zip(topics, known, strict=True) if not is_known]
            if missing:
                await self.client.sadd(self.keys.topics, *missing)


class Store:
    """All partitions. Opened once a process, passed in, closed last."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        client = command_client(settings.redis, name)
        listening = waiting_client(settings.redis, name, SILENCE_S, settings.partitions)
        self._clients = [client, listening]
        prefix = settings.redis.key_prefix
        self.partitions = [Partition(Keys(prefix, number), client, listening) for number in range(settings.partitions)]

    async def synchronise(self) -> None:
        """Reads every partition's clock. Raises ``Outage``."""
        await asyncio.gather(*(partition.synchronise() for partition in self.partitions))

    async def register_topics(self) -> None:
        """Makes every topic of the settings known. Raises ``Outage``."""
        topics = list(self.settings.all_topics())
        await asyncio.gather(*(partition.register_topics(topics) for partition in self.partitions))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
