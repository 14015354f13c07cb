"""Accepting new messages: ids are made, records written, and chunks of at most 500 stored by one script each.

A repeat with the same idempotency key makes the same ids again (they follow from a seed that the first request left with
the key), so it completes what was cut off and doubles nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import blake2b

from msgspec import Struct

from shared.errors import Conflict, Outage
from shared.settings import Durability
from shared.store.chunks import Chunk, Draft, Rendered, digest_of, render
from shared.store.commit import NotSafe
from shared.store.outage import outages
from shared.store.partition import Partition, Store
from shared.store.scripts import SCHEDULE, Argument


class Accepted(Struct, frozen=True):
    ids: list[str]
    due_ms: list[int]
    durability: Durability
    """How safe all of it is."""
    deduplicated: bool
    """Whether an equal request with the same idempotency key had been accepted before."""


class Unconfirmed(Outage):
    """Storing was cut off: messages of these ids may exist. Repeating with ``idempotency_key`` completes and doubles nothing."""

    def __init__(self, cause: Outage, ids: list[str], idempotency_key: str | None) -> None:
        super().__init__(cause.kind, cause.detail)
        self.ids = ids
        self.idempotency_key = idempotency_key


class NotStored(Outage):
    """Redis refused before anything was written: nothing of this request is there, and it may simply be repeated."""

    def __init__(self, cause: Outage) -> None:
        super().__init__(cause.kind, cause.detail)


_REFUSED_UNWRITTEN = frozenset({"oom", "readonly", "misconf", "loading", "noreplicas", "clusterdown"})
"""Kinds of refusal that come before a script's first write. After any other the script may have run to its end."""


class _Stored(Struct, frozen=True):
    """What became of a chunk."""

    verdict: bytes
    earlier: str
    """Of a repeat, the record that the first call left with the key: its ids are the ones."""
    reached: Durability
    unsafe: NotSafe | None
    """It is stored, but not as safe as was asked."""

    def check(self) -> None:
        if self.unsafe is not None:
            raise self.unsafe


async def schedule(
    store: Store, drafts: Sequence[Draft], idempotency_key: str | None = None, asked: Durability = "memory"
) -> Accepted:
    """Stores the messages, as safe as asked. Raises ``Conflict``, ``NotStored``, ``Unconfirmed``, ``InvalidField``."""
    own_key = idempotency_key is None and len(drafts) > 1
    if own_key:
        idempotency_key = f"batch-{secrets.token_hex(16)}"
    key_digest = blake2b((idempotency_key or secrets.token_hex(8)).encode(), digest_size=20).hexdigest()
    first = _partition_of(key_digest, len(store.partitions))
    if not store.partitions[first].clock.synchronised:
        await _synchronise(store.partitions[first])  # else "now" would be this host's
    seed, accepted_ms = secrets.token_bytes(8), store.partitions[first].clock.now_ms()
    digest = digest_of(drafts) if idempotency_key else ""
    rendered = render(store.partitions, first, drafts, seed, accepted_ms)
    ttl_ms = store.settings.producer.idempotency_ms if idempotency_key else 0
    deduplicated, begun = False, False

    async def store_chunk(number: int) -> _Stored:
        record, key = f"{digest} {seed.hex()} {accepted_ms}", _chunk_key(key_digest, number, seed)
        found = await _store_chunk(rendered.chunks[number], number, key, ttl_ms, record, asked)
        if found.verdict == b"conflict":
            raise Conflict("the idempotency key was used before for a request with another content")
        return found

    try:
        found = await store_chunk(0)
        begun = True
        if found.verdict == b"repeated":
            _, seed_text, accepted_text = found.earlier.split()
            seed, accepted_ms, deduplicated = bytes.fromhex(seed_text), int(accepted_text), True
            rendered = render(store.partitions, first, drafts, seed, accepted_ms)
        reached = await _store_rest(store_chunk, len(rendered.chunks), found, asked)
    except Outage as outage:
        if not begun and outage.kind in _REFUSED_UNWRITTEN:
            raise NotStored(outage) from outage
        raise Unconfirmed(outage, rendered.ids, idempotency_key) from outage
    if own_key:
        await _forget_key(rendered, key_digest, seed)
    return Accepted(rendered.ids, rendered.due_ms, reached, deduplicated)


async def _store_rest(
    store_chunk: Callable[[int], Awaitable[_Stored]], chunks: int, first: _Stored, asked: Durability
) -> Durability:
    """All chunks but the first. One after the other; side by side where each waits to be safe, so that they wait together.

    Returns how safe the least safe one is. Raises ``NotSafe`` where that is less than asked.
    """
    if asked == "memory":
        stored = [first, *[await store_chunk(number) for number in range(1, chunks)]]
        return min((one.reached for one in stored), key=lambda reached: reached != "memory")
    first.check()
    results = await asyncio.gather(*(store_chunk(number) for number in range(1, chunks)), return_exceptions=True)
    for result in results:  # raised only when none is at work any more
        if isinstance(result, BaseException):
            raise result
        result.check()
    return asked


async def _synchronise(partition: Partition) -> None:
    try:
        await partition.synchronise()
    except Outage as outage:
        raise NotStored(outage) from outage


def _partition_of(key_digest: str, partitions: int) -> int:
    """Where a key's record lies (rendezvous hashing): with more partitions, most keys stay where they were."""
    return max(range(partitions), key=lambda number: blake2b(f"{key_digest} {number}".encode(), digest_size=8).digest())


def _chunk_key(key_digest: str, number: int, seed: bytes) -> str:
    """The first chunk's record decides the seed; the others' names follow from it, so none outlives its request's meaning."""
    return key_digest if number == 0 else blake2b(key_digest.encode() + seed, digest_size=20).hexdigest()


async def _forget_key(rendered: Rendered, key_digest: str, seed: bytes) -> None:
    """Removes the traces of a key that was made here and that nobody was told. Where that fails, their time to live does it."""
    with suppress(Outage), outages():
        for number, chunk in enumerate(rendered.chunks):
            await chunk.partition.client.unlink(chunk.partition.keys.idempotency(_chunk_key(key_digest, number, seed), number))


async def _store_chunk(chunk: Chunk, number: int, key: str, ttl_ms: int, record: str, asked: Durability) -> _Stored:
    partition = chunk.partition
    keys = [partition.keys.due(topic) for topic in chunk.topics]
    if ttl_ms:
        keys.append(partition.keys.idempotency(key, number))
    arguments: list[Argument] = [partition.keys.wake_channel, ttl_ms, record]
    for messages in chunk.topics.values():
        arguments.append(len(messages))
        for message in messages:
            arguments += message
    unsafe: NotSafe | None = None
    try:
        answer, reached = await partition.run(SCHEDULE, keys, arguments, asked, b"stored", b"repeated")
    except NotSafe as error:
        answer, reached, unsafe = error.answer, "memory", error
    return _Stored(answer[0], answer[1].decode() if len(answer) > 1 else "", reached, unsafe)
