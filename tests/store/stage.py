"""One partition to play on, with two topics and as many workers as a test names; and what lies in its keys.

Steps go through the store's own functions, so that a test sees what the service would write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from secrets import randbits
from typing import Any

from shared.errors import NotFound
from shared.ids import make_id, parse_id
from shared.record import NO_OPTIONS, Options, Record, encode_record, flow_key_of
from shared.recurrence import Definition, Rule
from shared.settings import Settings
from shared.store import due, firing, messages, schedules
from shared.store.connect import Client
from shared.store.delivery import Deliveries
from shared.store.entries import Entry, Lease, Settlement
from shared.store.keys import GROUP, Keys, lane_of
from shared.store.partition import Store
from shared.store.schedules import Schedule, Wanted
from shared.store.scripts import SCHEDULE, Argument

TOPICS = ("alpha", "beta")
HOUR_MS = 3_600_000
KEPT = '{"status":"delivered","due_ms":1,"settled_ms":2,"attempts":1}'
HEADER = '{"reason":"spent","due_ms":1,"attempts":5}'


def error_text(attempt: int, text: str = "no") -> str:
    """A failed attempt as the store keeps it."""
    return f'{{"attempt":{attempt},"started_ms":1,"ended_ms":2,"error":"{text}","worker":"w1"}}'


class Call(Exception):
    """The keys and arguments with which the store was about to run a script."""

    def __init__(self, keys: list[str], arguments: list[Argument]) -> None:
        super().__init__("caught")
        self.keys, self.arguments = keys, arguments


class _Catcher:
    """Stands before a client, to learn a script's call as the store makes it. What is only read is read."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def set_response_callback(self, *_ignored: object) -> None:
        """Answers are of no interest here."""

    async def execute_command(self, *command: Any) -> None:
        count = int(command[2])
        raise Call(list(command[3 : 3 + count]), list(command[3 + count :]))


class Stage:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.partition = store.partitions[0]
        self.keys: Keys = self.partition.keys
        self.client: Client = self.partition.client
        self._workers: dict[str, Deliveries] = {}

    def worker(self, name: str = "w1") -> Deliveries:
        """A worker of that consumer name, for both topics."""
        if name not in self._workers:
            self._workers[name] = Deliveries(self.partition, self.partition.waiting(1.0), name, TOPICS)
        return self._workers[name]

    async def close(self) -> None:
        for worker in self._workers.values():
            await worker.close()

    async def now_ms(self) -> int:
        """Redis's clock, asked now."""
        seconds, microseconds = await self.client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def add(
        self, *due_ms: int, topic: str = "alpha", bits: Sequence[int] = (), body: bytes = b"x", options: Options = NO_OPTIONS
    ) -> list[str]:
        """Stores messages as if they had been accepted long ago, so that their times may be past. Their ids."""
        arguments: list[Argument] = [self.keys.wake_channel, 0, "", len(due_ms)]
        ids = []
        for position, one_ms in enumerate(due_ms):
            message_id = make_id(topic, self.partition.number, one_ms, bits[position] if bits else randbits(61))
            record = encode_record(Record(message_id, 1, "text", body, options))
            arguments += (repr(score_of(message_id)), record)
            ids.append(message_id)
        due_set = self.keys.due(lane_of(topic, options.priority, options.flow_key))
        await SCHEDULE.run(self.client, [due_set, *([self.keys.labels] if options.labels else [])], arguments)
        return ids

    async def overdue(self, count: int = 1, topic: str = "alpha") -> list[str]:
        """Waiting messages whose time has passed, one millisecond after the other."""
        first_ms = await self.now_ms() - 10_000
        return await self.add(*range(first_ms, first_ms + count), topic=topic)

    async def dispatch(self, topic: str = "alpha", limit: int = 1000) -> int:
        return (await due.dispatch(self.partition, topic, limit, 100_000)).moved

    async def ready(self, count: int = 1, topic: str = "alpha") -> list[str]:
        """Messages in their stream, held by nobody."""
        ids = await self.overdue(count, topic)
        await self.dispatch(topic)
        return ids

    async def read(self, count: int = 1, topic: str = "alpha", worker: str = "w1") -> list[Entry]:
        """Deliveries, as that worker reads them."""
        await self.worker(worker).create_groups()
        return await self.worker(worker).read({topic: count})

    async def running(self, count: int = 1, topic: str = "alpha", worker: str = "w1") -> list[Entry]:
        await self.ready(count, topic)
        return await self.read(count, topic, worker)

    async def settle(self, *settlements: Settlement, worker: str = "w1", max_finished: int = 1000) -> list[bool]:
        return await self.worker(worker).settle(settlements, max_finished)

    async def running_again(self, topic: str = "alpha", worker: str = "w1") -> Entry:
        """A delivery that failed once before, with the error that it left."""
        (first,) = await self.running(1, topic, worker)
        await self.settle(retry(first), worker=worker)
        await self.dispatch(topic)
        (again,) = await self.read(1, topic, worker)
        return again

    async def dead(self, topic: str = "alpha") -> str:
        (entry,) = await self.running(1, topic)
        await self.settle(dead(entry))
        return id_of(entry)

    async def let_idle(self, entry: Entry, idle_ms: int, deliveries: int, worker: str = "w1") -> None:
        """Makes a lease as old, and as often delivered, as if its worker had been lost."""
        await self.client.xclaim(
            entry.stream, GROUP, worker, 0, [entry.entry_id], idle=idle_ms, retrycount=deliveries, justid=True
        )

    async def pending(self, topic: str = "alpha") -> list[tuple[str, str, int]]:
        """Entry id, consumer and deliveries of what is pending."""
        return await _pending(self.client, self.keys.stream(topic))

    async def waiting(self, topic: str = "alpha") -> dict[str, float]:
        """Scores of what waits, by id, the earliest first."""
        found = await self.client.zrange(self.keys.due(topic), 0, -1, withscores=True)
        return {member.split(b" ")[0].decode(): score for member, score in found}

    def wanted(self, every_ms: int = HOUR_MS, status: str = "active", labels: tuple[str, ...] = (), **more: Any) -> Wanted:
        """What a schedule is to be; ``more`` of its definition."""
        definition = Definition(rule=Rule(every_ms=every_ms, anchor_ms=1), topic="alpha", **more)
        return Wanted(definition=definition, template=Record("", 0, "text", b"again", Options(labels=labels)), status=status)

    async def schedule(self, schedule_id: str, **more: Any) -> Schedule:
        """A recurring schedule of that id, as ``wanted``."""
        return await schedules.create(self.store, schedule_id, self.wanted(**more), f"first of {schedule_id}")

    async def make_due(self, schedule_id: str) -> int:
        """Its next occurrence becomes one of the past, after those that were made. Its time."""
        seen = await schedules.get(self.store, schedule_id)
        at_ms = max(seen.last_occurrence_ms, await self.now_ms() - 5_000) + 1
        await self.client.zadd(self.keys.schedules_next, {schedule_id: at_ms})
        await self.client.hset(self.keys.schedule(schedule_id), "next", at_ms)
        return at_ms

    async def fire(self, schedule_id: str) -> str:
        """Makes one message of a schedule by its rule. Its id."""
        await self.make_due(schedule_id)
        await firing.fire(self.partition, await schedules.get(self.store, schedule_id))
        return (await schedules.get(self.store, schedule_id)).last_id

    async def status(self, message_id: str) -> str:
        try:
            return (await messages.get(self.store, message_id)).status
        except NotFound:
            return "absent"

    async def call_of(self, act: Callable[[Store], Awaitable[object]]) -> Call:
        """The script's call that a function of the store makes, caught before it is sent."""
        store = Store(self.store.settings, "catcher")
        store.partitions = [replace(self.partition, client=_Catcher(self.client))]
        try:
            await act(store)
        except Call as call:
            return call
        finally:
            await store.close()
        raise AssertionError("no script was run")

    async def call_by_worker(self, name: str, act: Callable[[Deliveries], Awaitable[object]]) -> Call:
        """The same for a worker's functions."""

        async def with_worker(store: Store) -> None:
            partition = store.partitions[0]
            await act(Deliveries(partition, partition.client, name, TOPICS))

        return await self.call_of(with_worker)


@asynccontextmanager
async def open_stage(settings: Settings, name: str = "stage") -> AsyncIterator[Stage]:
    """A stage on a store of its own, whose connections have that name."""
    store = Store(settings, name)
    await store.synchronise()
    stage = Stage(store)
    try:
        yield stage
    finally:
        await stage.close()
        await store.close()


def score_of(message_id: str) -> float:
    """The score that an id carries."""
    parsed = parse_id(message_id)
    assert parsed is not None
    return parsed.score


def id_of(entry: Entry) -> str:
    return entry.record.split(b" ")[0].decode()


def lease_of(entry: Entry, deliveries: int = 0) -> Lease:
    return Lease(entry.stream, entry.entry_id, deliveries or entry.deliveries)


def finished(
    entry: Entry, *, retention_ms: int = HOUR_MS, text: str = KEPT, errors_exist: bool = False, labels: tuple[str, ...] = ()
) -> Settlement:
    return Settlement(
        lease_of(entry),
        id_of(entry),
        entry.topic,
        "finished",
        errors_exist=errors_exist,
        text=text,
        number=retention_ms,
        flow=entry.flow,
        labels=labels,
    )


def retry(
    entry: Entry, *, delay_ms: int = 0, attempts: int = 1, deferrals: int = 0, text: str = "", labels: tuple[str, ...] = ()
) -> Settlement:
    return Settlement(
        lease_of(entry), id_of(entry), entry.topic, "retry",
        text=text or error_text(attempts), number=delay_ms, attempts=attempts, deferrals=deferrals,
        flow=entry.flow, flow_key=flow_key_of(entry.record), labels=labels,
    )  # fmt: skip


def dead(entry: Entry, *, text: str = "", header: str = HEADER, labels: tuple[str, ...] = ()) -> Settlement:
    return Settlement(
        lease_of(entry), id_of(entry), entry.topic, "dead",
        text=text or error_text(5), header=header, flow=entry.flow, labels=labels,
    )  # fmt: skip


async def dump(redis: Client, prefix: str) -> dict[str, bytes]:
    """Every key of a prefix to the last byte, but for times to live, and for the order in which a hash keeps its fields.

    A large one is a table, which the server may sort into another one at any time.
    """
    found: dict[str, bytes] = {}
    for key in sorted([key async for key in redis.scan_iter(match=f"{prefix}:*", count=1000)]):
        is_hash = await redis.type(key) == b"hash"
        found[key.decode()] = repr(sorted((await redis.hgetall(key)).items())).encode() if is_hash else await redis.dump(key)
    return found


async def contents(redis: Client, prefix: str) -> dict[str, Any]:
    """Every key of a prefix by its meaning: what a message's place depends on, without the ages of leases."""
    found: dict[str, Any] = {}
    for key in sorted([key.decode() async for key in redis.scan_iter(match=f"{prefix}:*", count=1000)]):
        kind = (await redis.type(key)).decode()
        found[key.split("}:", 1)[1]] = await _READERS[kind](redis, key)
    return found


async def _stream(redis: Client, key: str) -> Any:
    groups = [group["name"].decode() for group in await redis.xinfo_groups(key)]
    consumers = [row["name"].decode() for group in groups for row in await redis.xinfo_consumers(key, group)]
    return await redis.xrange(key), groups, sorted(consumers), await _pending(redis, key) if groups else []


async def _pending(redis: Client, stream: str) -> list[tuple[str, str, int]]:
    rows = await redis.xpending_range(stream, GROUP, "-", "+", 10_000)
    return [(row["message_id"].decode(), row["consumer"].decode(), row["times_delivered"]) for row in rows]


_READERS: dict[str, Callable[[Client, str], Awaitable[Any]]] = {
    "string": lambda redis, key: redis.get(key),
    "list": lambda redis, key: redis.lrange(key, 0, -1),
    "hash": lambda redis, key: redis.hgetall(key),
    "set": lambda redis, key: redis.smembers(key),
    "zset": lambda redis, key: redis.zrange(key, 0, -1, withscores=True),
    "stream": _stream,
}
