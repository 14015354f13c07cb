"""Webhook messages on a stage: accepted long ago, let through, and dead."""

from __future__ import annotations

import msgspec

from shared.record import Options, Webhook
from shared.settings import WEBHOOK
from shared.store import flow
from shared.store.delivery import Deliveries
from shared.store.due import dispatch
from shared.store.entries import Entry
from shared.store.keys import lanes
from tests.store.stage import Stage, dead, id_of

URL = "https://example.com/hook"


class Webhooks:
    """The hands of a dispatcher and a worker of topic ``webhook``."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._worker = Deliveries(stage.partition, stage.partition.waiting(1.0), "w1", (WEBHOOK.name,))

    async def close(self) -> None:
        await self._worker.close()

    async def add(self, count: int = 1, options: Options | None = None, body: bytes = b"x") -> list[str]:
        """Messages that are due, to ``URL`` where the options do not say otherwise."""
        first_ms = await self.stage.now_ms() - 10_000
        named = options or Options()
        wanted = msgspec.structs.replace(named, webhook=named.webhook or Webhook(url=URL))
        return await self.stage.add(*range(first_ms, first_ms + count), topic=WEBHOOK.name, options=wanted, body=body)

    async def let_through(self) -> int:
        """Due → stream, as far as limits let them; how many."""
        lane, partition = lanes(WEBHOOK.name)[-1], self.stage.partition
        moved = [await dispatch(partition, one, 1000, 100_000) for one in lanes(WEBHOOK.name)[:-1]]
        moved.append(await flow.admit(partition, WEBHOOK, lane, 1000, 100_000))
        return sum(one.moved for one in moved)

    async def read(self) -> list[Entry]:
        await self._worker.create_groups()
        return await self._worker.read({WEBHOOK.name: 1000})

    async def bury(self, count: int = 1, options: Options | None = None, body: bytes = b"x") -> list[str]:
        """The ids of so many dead letters, in the order in which they died."""
        await self.add(count, options, body)
        assert await self.let_through() == count
        entries = await self.read()
        labels = options.labels if options else ()
        for entry in entries:
            await self._worker.settle([dead(entry, labels=labels)], 1000)
        return [id_of(entry) for entry in entries]
