"""What a worker keeps of URL groups and signing keys, looked at every second with one command. Read from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shared.errors import Outage
from shared.signing import SigningKeys
from shared.store import signing_keys
from shared.store.outage import outages
from shared.store.partition import Store
from shared.store.url_groups import UrlGroup, groups_in
from shared.store.webhook_fields import REVISION
from shared.waiting import OutageWatch

EVERY_S = 1.0
"""How soon a worker knows of a change."""


class Directory:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision: bytes | None = b"none was read"
        self._groups: Mapping[str, UrlGroup] = {}
        self.signing: SigningKeys | None = None
        """``None`` until they were read."""

    def group(self, name: str) -> UrlGroup | None:
        return self._groups.get(name)

    async def run(self) -> None:
        watch = OutageWatch("directory")
        while True:
            try:
                await self.run_once()
            except Outage as outage:
                await asyncio.sleep(watch.failed(outage))
            else:
                watch.worked()
                await asyncio.sleep(EVERY_S)

    async def run_once(self) -> bool:
        """Whether there was something new. Raises ``Outage``."""
        partition = self._store.partitions[0]
        with outages():
            revision = await partition.client.hget(partition.keys.webhooks, REVISION)
            if revision == self._revision and self.signing is not None:
                return False
            fields: Mapping[bytes, bytes] = await partition.client.hgetall(partition.keys.webhooks)
        self._groups = {group.name: group for group in groups_in(fields)}
        self.signing = await signing_keys.get(self._store)
        self._revision = fields.get(REVISION.encode())
        return True
