"""Drives messages from stage to stage, step by step, with the store's own operations."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.record import decode_record
from shared.settings import TopicSettings
from shared.store.delivery import Deliveries
from shared.store.due import dispatch
from shared.store.entries import Entry, Lease, Settlement
from shared.store.flow import admit
from shared.store.keys import lanes
from shared.store.messages import Attempt, DeadHeader, Finished
from shared.store.partition import Store

TOPICS = ("echo", "work")
_encode = msgspec.json.Encoder().encode


class Stages:
    """What dispatcher and worker do, one step at a time."""

    def __init__(self, store: Store, worker: str = "worker-1", topics: Sequence[str] = TOPICS) -> None:
        self.worker = worker
        self.partition = store.partitions[0]
        self.deliveries = Deliveries(self.partition, self.partition.waiting(1), worker, topics)

    async def dispatch(self, topic: str = "echo", limit: int = 100) -> int:
        """Due → stream; how many were moved."""
        settings = TopicSettings(name=topic, handler="nobody.asks")
        moved = [await dispatch(self.partition, lane, limit, 1000) for lane in lanes(topic)[:-1]]
        moved.append(await admit(self.partition, settings, lanes(topic)[-1], limit, 1000))
        return sum(one.moved for one in moved)

    async def read(self, topic: str = "echo") -> list[Entry]:
        """Stream → a worker's hands."""
        await self.deliveries.create_groups()
        return await self.deliveries.read({topic: 100})

    async def run(self, topic: str = "echo") -> Entry:
        """The one message that is due, dispatched and read."""
        assert await self.dispatch(topic) == 1
        (entry,) = await self.read(topic)
        return entry

    async def finish(self, entry: Entry, status: str = "delivered") -> None:
        """Delivered or expired."""
        kept = Finished(
            status=status,
            due_ms=entry.due_ms,
            settled_ms=entry.entry_ms + 7,
            attempts=entry.attempts + 1 if status == "delivered" else entry.attempts,
            created_ms=decode_record(entry.record).created_ms,
            started_ms=entry.entry_ms + 3 if status == "delivered" else 0,
            worker=self.worker,
        )
        counts_as = "delivered" if status == "delivered" else None
        text = _encode(kept).decode()
        await self._settle(entry, "finished", errors_exist=entry.attempts > 0, text=text, number=60_000, counts_as=counts_as)

    async def fail(self, entry: Entry, error: str, delay_ms: int) -> None:
        """Failed, to be delivered again after so long."""
        text = self._attempt(entry, error, delay_ms)
        await self._settle(entry, "retry", text=text, number=delay_ms, attempts=entry.attempts + 1, counts_as="failed")

    async def bury(self, entry: Entry, reason: str, error: str) -> None:
        """Failed for good."""
        header = DeadHeader(reason=reason, due_ms=entry.due_ms, attempts=entry.attempts + 1)
        await self._settle(entry, "dead", text=self._attempt(entry, error), header=_encode(header).decode(), counts_as="failed")

    def _attempt(self, entry: Entry, error: str, delay_ms: int | None = None) -> str:
        attempt = Attempt(
            attempt=entry.attempts + 1,
            started_ms=entry.entry_ms + 3,
            ended_ms=entry.entry_ms + 5,
            error=error,
            worker=self.worker,
            delay_ms=delay_ms,
        )
        return _encode(attempt).decode()

    async def _settle(self, entry: Entry, outcome: str, **more: object) -> None:
        lease = Lease(entry.stream, entry.entry_id, entry.deliveries)
        message_id = entry.record.split(b" ", 1)[0].decode()
        options = decode_record(entry.record).options
        own = {"flow": entry.flow, "flow_key": options.flow_key, "labels": options.labels, **more}
        settlement = Settlement(lease, message_id, entry.topic, outcome, **own)  # type: ignore[arg-type] # its fields
        assert await self.deliveries.settle([settlement], 1000) == [True]

    async def close(self) -> None:
        await self.deliveries.close()
