"""Takes messages to a worker's door, and looks at and meddles with what lies there."""

from __future__ import annotations

from shared.record import NO_OPTIONS, Options
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.connect import Client
from shared.store.due import dispatch
from shared.store.keys import GROUP
from shared.store.messages import View, get
from shared.store.partition import Store


class Flow:
    def __init__(self, store: Store, redis: Client) -> None:
        self.store = store
        self.redis = redis
        self.keys = store.partitions[0].keys

    async def ready(
        self, count: int = 1, topic: str = "alpha", body: bytes = b"hello", options: Options = NO_OPTIONS
    ) -> list[str]:
        """Messages that are due and lie in the stream; their ids in the order of the stream."""
        drafts = [Draft(topic, "text", body, options=options) for _ in range(count)]
        accepted = await schedule(self.store, drafts)
        moved = await self.forward(topic)
        assert moved == count
        return sorted(accepted.ids)  # ids of one millisecond sort by their tie, as scores do

    async def forward(self, topic: str = "alpha") -> int:
        return (await dispatch(self.store.partitions[0], topic, 1000, 100_000)).moved

    async def add(self, record: bytes, topic: str = "alpha", **fields: str | int) -> str:
        """A raw stream entry."""
        entry = {"due": 1, "attempts": 0, **fields, "message": record}
        added = await self.redis.xadd(self.keys.stream(topic), entry)
        return str(added.decode())

    async def view(self, message_id: str) -> View:
        return await get(self.store, message_id)

    async def statuses(self, ids: list[str]) -> set[str]:
        return {(await self.view(message_id)).status for message_id in ids}

    async def pending(self, topic: str = "alpha") -> dict[str, tuple[str, int]]:
        """Entry id → consumer and delivery count of everything that is pending."""
        rows = await self.redis.xpending_range(self.keys.stream(topic), GROUP, "-", "+", 10_000)
        return {row["message_id"].decode(): (row["consumer"].decode(), row["times_delivered"]) for row in rows}

    async def idle(self, topic: str = "alpha") -> list[int]:
        """Ages of the leases in the order of ``pending``, ms."""
        rows = await self.redis.xpending_range(self.keys.stream(topic), GROUP, "-", "+", 10_000)
        return [row["time_since_delivered"] for row in rows]

    async def finish(self, topic: str = "alpha") -> None:
        """Forgets whatever lies in a stream, for the end of a test."""
        entries = list(await self.pending(topic))
        await self.redis.xack(self.keys.stream(topic), GROUP, *entries)
        await self.redis.xtrim(self.keys.stream(topic), 0)
        await self.redis.delete(self.keys.index)

    async def age(self, milliseconds: int = 10_000_000, topic: str = "alpha") -> None:
        """Makes every lease of a topic as old as that, without touching its holder and count."""
        for entry, (consumer, _) in (await self.pending(topic)).items():
            await self.redis.xclaim(self.keys.stream(topic), GROUP, consumer, 0, [entry], idle=milliseconds, justid=True)

    async def steal(self, consumer: str = "stranger", topic: str = "alpha") -> list[str]:
        """Another consumer takes everything that is pending, as after a lease that ran out."""
        entries = list(await self.pending(topic))
        for entry in entries:
            await self.take(consumer, entry, topic)
        return entries

    async def take(self, consumer: str, entry: str, topic: str = "alpha") -> None:
        """Another consumer takes one entry; its delivery count goes up."""
        await self.redis.xclaim(self.keys.stream(topic), GROUP, consumer, 0, [entry])

    async def length(self, topic: str = "alpha") -> int:
        return int(await self.redis.xlen(self.keys.stream(topic)))

    async def consumers(self, topic: str = "alpha") -> set[str]:
        rows = await self.redis.xinfo_consumers(self.keys.stream(topic), GROUP)
        return {row["name"].decode() for row in rows}
