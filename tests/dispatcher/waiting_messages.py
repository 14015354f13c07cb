"""Messages that wait in due sets, and what became of them."""

from __future__ import annotations

from shared.ids import make_id, score_for
from shared.record import Record, encode_record
from shared.store.connect import Client
from shared.store.partition import Store

_numbers = iter(range(1, 10**9))


class Waiting:
    def __init__(self, store: Store, redis: Client) -> None:
        self.store = store
        self.redis = redis

    def now_ms(self, partition: int = 0) -> int:
        return self.store.partitions[partition].clock.now_ms()

    async def put(self, count: int, due_ms: int, topic: str = "alpha", partition: int = 0) -> list[str]:
        """Messages straight into a due set, as if they had been accepted long ago; no wake-up is published."""
        ids = [make_id(topic, partition, due_ms, next(_numbers)) for _ in range(count)]
        members = {
            encode_record(Record(message_id, due_ms - 1000, "text", b"hello")): score_for(message_id, due_ms)
            for message_id in ids
        }
        await self.redis.zadd(self.store.partitions[partition].keys.due(topic), members)
        return ids

    async def left(self, topic: str = "alpha", partition: int = 0) -> int:
        return int(await self.redis.zcard(self.store.partitions[partition].keys.due(topic)))

    async def moved(self, topic: str = "alpha", partition: int = 0) -> list[tuple[int, int]]:
        """Of each stream entry: the millisecond it was added, and its due time."""
        rows = await self.redis.xrange(self.store.partitions[partition].keys.stream(topic))
        return [(int(entry.partition(b"-")[0]), int(fields[b"due"])) for entry, fields in rows]
