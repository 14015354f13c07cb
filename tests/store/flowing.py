"""Messages with flow keys on a stage: made, let through, ended; and what their keys hold."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.record import Options, Priority
from shared.settings import LimitSettings, TopicSettings
from shared.store import flow
from shared.store.due import Dispatched
from shared.store.entries import Entry
from shared.store.keys import lanes
from tests.store.stage import Stage, finished, id_of

NO_LIMIT = LimitSettings()


class Flowing:
    """The topic ``alpha`` of a stage."""

    def __init__(self, stage: Stage, *, topic: LimitSettings = NO_LIMIT, key: LimitSettings = NO_LIMIT) -> None:
        self.stage = stage
        self.topic = TopicSettings(name="alpha", handler="nobody.asks", limit=topic, flow_key_limit=key)
        stage.store.settings = msgspec.structs.replace(stage.store.settings, topics=(self.topic,))

    async def add(
        self, flow_key: str | None, count: int = 1, priority: Priority | None = None, *, ordered: bool = False
    ) -> list[str]:
        """Messages that are due, one millisecond after the other."""
        first_ms = await self.stage.now_ms() - 10_000
        options = Options(flow_key=flow_key, priority=priority, ordered=ordered)
        return await self.stage.add(*range(first_ms, first_ms + count), options=options)

    async def admit(self, lane: str = "alpha:limited", limit: int = 100, longest: int = 1000) -> Dispatched:
        return await flow.admit(self.stage.partition, self.topic, lane, limit, longest)

    async def admit_all(self) -> int:
        """Every lane, until nothing more goes."""
        moved = 0
        while now := sum([(await self.admit(lane)).moved for lane in lanes("alpha")]):
            moved += now
        return moved

    async def ready(self) -> list[str]:
        """Ids in the streams of the topic, the first to come first."""
        entries: list[tuple[tuple[int, int], str]] = []
        for stream in self.stage.keys.streams("alpha"):
            for entry_id, fields in await self.stage.client.xrange(stream):
                first, second = entry_id.decode().split("-")
                entries.append(((int(first), int(second)), fields[b"message"].split(b" ")[0].decode()))
        return [message_id for _, message_id in sorted(entries)]

    async def read(self, count: int = 100, worker: str = "w1") -> list[Entry]:
        await self.stage.worker(worker).create_groups()
        return await self.stage.worker(worker).read({"alpha": count})

    async def finish(self, *entries: Entry, worker: str = "w1") -> list[bool]:
        return await self.stage.settle(*(finished(entry) for entry in entries), worker=worker)

    async def held(self) -> set[str]:
        """Ids of the messages that hold a place: those in streams."""
        return await self._ids_in("held")

    async def kept(self) -> set[str]:
        """Ids of the messages that keep the place of their key until their next attempt."""
        return await self._ids_in("kept")

    async def _ids_in(self, what: str) -> set[str]:
        return {member.split(b" ")[1].decode() for member in await self.stage.client.zrange(self._set(what), 0, -1)}

    async def sets(self) -> dict[str, list[Any]]:
        """What lies in the sets of flow control that is to be gone in the end."""
        names = ("line", "held", "kept", "log", "next", "logs")
        found = {what: await self.stage.client.zrange(self._set(what), 0, -1) for what in names}
        return {what: members for what, members in found.items() if members}

    def _set(self, what: Any) -> str:
        return self.stage.keys.flow("alpha", what)


def ids_of(entries: list[Entry]) -> list[str]:
    return [id_of(entry) for entry in entries]
