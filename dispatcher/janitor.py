"""Keeps what is over within its retention and caps, and removes consumers that are gone for good."""

from __future__ import annotations

from shared.errors import Outage
from shared.logs import logger
from shared.settings import Settings
from shared.store import due, flow, labels, topics
from shared.store.delivery import leave
from shared.store.partition import Partition, Store

LIMIT = 1000
"""Most things removed by one script."""
LABELS = 500
"""Members of the label index looked at in one run; the next run goes on."""
GONE_AFTER_LEASES = 30
GONE_AFTER_MS = 300_000
"""A consumer that asked for nothing this long, and at least this many leases, is gone: a living one asks every few seconds."""


class Janitor:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._labels_seen: dict[int, bytes] = {}
        self._gone_after_ms = max(GONE_AFTER_MS, GONE_AFTER_LEASES * settings.consumers.lease_ms)

    async def run_once(self) -> None:
        """Raises ``Outage``, after all servers had their turn."""
        outage: Outage | None = None
        for partitions in self._store.by_server():
            try:
                for partition in partitions:
                    await self._trim(partition)
                    await self._remove_gone_consumers(partition)
                    await self._tidy(partition)
                    await self._tidy_labels(partition)
            except Outage as error:
                outage = error
        if outage is not None:
            raise outage

    async def _trim(self, partition: Partition) -> None:
        while True:
            trimmed = await due.trim(partition, self._settings.retention, LIMIT)
            if trimmed.aged_dead_letters:
                logger.info("dropped {} dead letters past their retention", trimmed.aged_dead_letters)
            if trimmed.dead_letters_over_cap:
                logger.warning(
                    "dropped the {} oldest dead letters: more than Retention.MaxDeadLetters", trimmed.dead_letters_over_cap
                )
            if max(trimmed) < LIMIT:
                return

    async def _tidy(self, partition: Partition) -> None:
        for topic in self._settings.all_topics():
            given_back = await flow.tidy(partition, topic)
            if given_back:
                logger.warning("gave {} places of {} back, whose messages are in no stream any more", given_back, topic)

    async def _tidy_labels(self, partition: Partition) -> None:
        after = self._labels_seen.get(partition.number, b"")
        self._labels_seen[partition.number], removed = await labels.tidy(partition, after, LABELS)
        if removed:
            logger.warning("removed {} labels of messages that are gone", removed)

    async def _remove_gone_consumers(self, partition: Partition) -> None:
        names = list(self._settings.all_topics())
        for consumer in await topics.idle_consumers(partition, names, self._gone_after_ms):
            if await leave(partition, names, consumer):
                logger.info("removed consumer {}: it is gone and holds nothing", consumer)
