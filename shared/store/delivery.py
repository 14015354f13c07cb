"""The consumers' side: reading deliveries, and holding, ending and returning their leases."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError, ResponseError

from shared.errors import Outage
from shared.store.connect import Client
from shared.store.entries import Entry, Lease, Settlement, number, parse_deferrals
from shared.store.keys import GROUP
from shared.store.levels import Shares
from shared.store.outage import outages
from shared.store.partition import Partition
from shared.store.scripts import CLAIM, HAND_BACK, LEAVE, RENEW, SETTLE, Argument
from shared.store.settling import Settling

SCAN_COUNT = 100
"""Pending entries that one claim looks at."""
PENDING_LIMIT = 10_000
_AS_WRITTEN = [b"due", b"attempts", b"message"]
"""The fields of an entry that was never deferred, as the scripts write them."""
SHORTEST_HOLD_UP_MS = 50
"""A claim that takes effect later than this, and than a quarter of the lease, is refused."""


class Deliveries:
    """The deliveries of one partition for one consumer."""

    def __init__(self, partition: Partition, waiting: Client, consumer: str, topics: Sequence[str]) -> None:
        self._partition = partition
        self._client = partition.client
        self._waiting = waiting
        self._keys = partition.keys
        self.consumer = consumer
        self.topics = list(topics)
        self._topics = {stream: topic for topic in topics for stream in self._keys.streams(topic)}
        self.streams = list(self._topics)
        self._shares = {topic: Shares(self._keys.streams(topic)) for topic in topics}
        self.groupless: set[str] = set()
        """Streams without a group that a full Redis refused to make: nothing of theirs can be read before it is made."""
        self.paused: frozenset[str] = frozenset()
        """Topics of which nothing is read."""
        for client in (self._client, self._waiting):
            client.set_response_callback("XREADGROUP", _plain)

    async def create_groups(self) -> None:
        """Makes every stream and its group, from the start of the stream: nothing waiting is skipped. Raises ``Outage``.

        A full Redis refuses to make one; that keeps nobody from reading the others.
        """
        self.groupless = {stream for stream in self.streams if not await self._has_group(stream)}
        for stream in sorted(self.groupless):
            try:
                await self._create_group(stream)
            except Outage as outage:
                if outage.kind != "oom":
                    raise
            else:
                self.groupless.discard(stream)

    async def _has_group(self, stream: str) -> bool:
        with outages():
            try:
                groups = await self._client.xinfo_groups(stream)
            except ResponseError as error:
                if "no such key" not in str(error):
                    raise
                return False
        return any(group["name"] == GROUP.encode() for group in groups)

    async def _create_group(self, stream: str) -> None:
        with outages():
            try:
                await self._client.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def read(self, counts: dict[str, int]) -> list[Entry]:
        """At most so many new deliveries of each topic, without waiting, in one round trip, and where a level that was empty
        the last time has one now, that one more. Raises ``Outage``.
        """
        since = time.monotonic()
        splits = {topic: self._shares[topic].split(count) for topic, count in counts.items() if topic not in self.paused}
        with outages():
            pipeline = self._client.pipeline(transaction=False)
            for split in splits.values():
                for count in dict.fromkeys(split.values()):
                    streams = [stream for stream, asked in split.items() if asked == count and stream not in self.groupless]
                    if count and streams:
                        pipeline.execute_command(
                            "XREADGROUP",
                            "GROUP",
                            GROUP,
                            self.consumer,
                            "COUNT",
                            count,
                            "STREAMS",
                            *streams,
                            *[">"] * len(streams),
                        )
            answers = await pipeline.execute(raise_on_error=False)
            refusals = [answer for answer in answers if isinstance(answer, Exception)]
            found = [entry for answer in answers if not isinstance(answer, Exception) for entry in self._entries(answer, since)]
            if refusals:
                await self._heal_beside(refusals[0], found)
        came = Counter(entry.stream for entry in found)
        for topic, split in splits.items():
            self._shares[topic].saw(split, came)
        return found

    async def wait(self, topics: Sequence[str], count: int, wait_ms: int) -> list[Entry]:
        """Waits for new deliveries of any of the topics, at most so long; gives at most so many of each. Raises ``Outage``."""
        since = time.monotonic()
        wanted = [topic for topic in topics if topic not in self.paused]
        streams = [one for topic in wanted for one in self._keys.streams(topic) if one not in self.groupless]
        if not wanted:
            await asyncio.sleep(wait_ms / 1000)
            return []
        if not streams:
            raise Outage("oom", "no stream has a group, and a full Redis refuses to make one")
        with outages():
            try:
                answer = await self._waiting.execute_command(
                    "XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", count, "BLOCK", wait_ms,
                    "STREAMS", *streams, *[">"] * len(streams),
                )  # fmt: skip
            except ResponseError as error:
                await self._heal(error)
                return []
        entries = self._entries(answer, since)
        came = Counter(entry.stream for entry in entries)
        for topic in {self._topics[stream] for stream in came}:
            self._shares[topic].saw(dict.fromkeys(self._keys.streams(topic), count), came)
        return entries

    def contended(self, topics: Iterable[str]) -> bool:
        """Whether several levels of one of the topics have a backlog: only ``read`` shares what is asked for among them."""
        return any(self._shares[topic].contended for topic in topics)

    def topic_of(self, stream: str) -> str:
        return self._topics[stream]

    async def _heal_beside(self, error: Exception, found: Sequence[Entry]) -> None:
        """What was read comes first: where it cannot be healed now, the next read meets the refusal again."""
        try:
            await self._heal(error)
        except (Outage, RedisError):
            if not found:
                raise

    async def _heal(self, error: Exception) -> None:
        """Makes groups that are gone; raises any other error."""
        if "NOGROUP" not in str(error):
            raise error
        await self.create_groups()

    def _entries(self, answer: Any, since: float) -> list[Entry]:
        found, now = list[Entry](), time.monotonic()
        for key, rows in answer or ():
            stream = key.decode()
            topic = self._topics[stream]
            for entry_id, flat in rows:
                if flat is not None:  # deleted while pending; only a read of one's own history shows these
                    found.append(self._entry(stream, topic, entry_id.decode(), 1, flat, since, now))
        return found

    def _entry(
        self, stream: str, topic: str, entry_id: str, deliveries: int, flat: Sequence[Any], since: float, now: float
    ) -> Entry:
        # A lease cannot have begun before its entry was added: that bounds a read that waited.
        added = self._partition.clock.monotonic_s(int(entry_id.partition("-")[0]))
        leased = min(max(since, added), now)
        lost = max(0, deliveries - 2)
        if flat[::2] == _AS_WRITTEN:  # what nearly all entries are
            return Entry(stream, topic, entry_id, deliveries, number(flat[1]), number(flat[3]) + lost, 0, flat[5], leased)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        deferrals, since_ms = parse_deferrals(fields.get(b"deferrals"))
        flow = fields.get(b"flow")
        return Entry(
            stream,
            topic,
            entry_id,
            deliveries,
            number(fields.get(b"due")),
            number(fields.get(b"attempts")) + lost,
            deferrals,
            fields.get(b"message", b""),
            leased,
            since_ms,
            flow=None if flow is None else flow.decode("utf-8", "replace"),
        )

    async def settle(self, settlements: Sequence[Settlement], max_finished: int) -> list[bool]:
        """Ends deliveries. False for one whose lease is not held any more: nothing was written for it. Raises ``Outage``."""
        settling = Settling(self._keys, self.consumer, max_finished, settlements)
        results = settling.results(await SETTLE.run(self._client, settling.keys, settling.arguments))
        for settlement, took_effect in zip(settlements, results, strict=True):
            if took_effect and settlement.counts_as is not None:
                self._partition.counted[settlement.topic, settlement.counts_as] += 1
        return results

    async def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Keeps leases alive. False for one that is lost. Raises ``Outage``."""
        keys, arguments = self._fenced(leases)
        return [bool(result) for result in await RENEW.run(self._client, keys, [GROUP, self.consumer, *arguments])]

    async def hand_back(self, leases: Sequence[Lease]) -> list[bool]:
        """Puts deliveries that were not started back for any worker. False for one that is lost. Raises ``Outage``."""
        keys, arguments = self._fenced(leases, first=2)
        answer = await HAND_BACK.run(self._client, [self._keys.index, *keys], [GROUP, self.consumer, *arguments])
        return [bool(result) for result in answer]

    def _fenced(self, leases: Sequence[Lease], first: int = 1) -> tuple[list[str], list[Argument]]:
        streams = list(dict.fromkeys(lease.stream for lease in leases))
        numbers = {stream: number for number, stream in enumerate(streams, first)}
        arguments: list[Argument] = []
        for lease in leases:
            arguments += (numbers[lease.stream], lease.entry_id, lease.deliveries)
        return streams, arguments

    async def claim(
        self, stream: str, cursor: str, lease_ms: int, claim_max_ms: int, room: int, suspects: int
    ) -> tuple[str, list[Entry]]:
        """Takes over at most ``room`` stuck deliveries of a stream, of which ``suspects`` were lost twice or more.

        Returns the cursor to go on from (``-`` at the end) and what was taken. Raises ``Outage``, also where the claim was held
        up on its way: those whose renewals were held up with it come first.
        """
        since = time.monotonic()
        latest_ms = self._partition.clock.now_ms() + max(SHORTEST_HOLD_UP_MS, lease_ms // 4)
        with outages():
            try:
                answer = await CLAIM.run(
                    self._client,
                    [stream],
                    [GROUP, self.consumer, cursor, SCAN_COUNT, lease_ms, claim_max_ms, room, suspects, latest_ms],
                )
            except ResponseError as error:
                await self._heal(error)
                return "-", []
        if answer[0] == b"late":
            raise Outage("timeout", "a claim was held up on its way")
        entries, now = [], time.monotonic()
        for entry_id, deliveries, due_ms, attempts, record, deferrals, lost_by, *flow in answer[1:]:
            held = (b"flow", flow[0]) if flow else ()
            flat = (b"due", due_ms, b"attempts", attempts, b"deferrals", deferrals, *held, b"message", record)
            entry = self._entry(stream, self._topics[stream], entry_id.decode(), deliveries, flat, since, now)
            entries.append(msgspec.structs.replace(entry, lost_by=lost_by.decode()))
        return answer[0].decode(), entries

    async def pending(self) -> list[Lease]:
        """What Redis says that this consumer holds: after a lost answer more than the consumer knows. Raises ``Outage``."""
        held = []
        with outages():
            for stream in self.streams:
                try:
                    rows = await self._client.xpending_range(stream, GROUP, "-", "+", PENDING_LIMIT, self.consumer)
                except ResponseError as error:
                    await self._heal(error)
                    continue
                held += [Lease(stream, row["message_id"].decode(), row["times_delivered"]) for row in rows]
        return held

    async def leave(self) -> bool:
        """Removes this consumer where nothing is pending for it. Raises ``Outage``."""
        return await leave(self._partition, self.topics, self.consumer)

    async def close(self) -> None:
        await self._waiting.aclose()


async def leave(partition: Partition, topics: Sequence[str], consumer: str) -> bool:
    """Removes a consumer where nothing is pending for it; says whether that was everywhere. Raises ``Outage``."""
    streams = [stream for topic in topics for stream in partition.keys.streams(topic)]
    return int(await LEAVE.run(partition.client, streams, [GROUP, consumer])) == 0


def _plain(answer: Any, **_options: Any) -> Any:
    return answer
