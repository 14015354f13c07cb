"""Accepting new messages: ids are made, records written, and chunks of at most 250 stored by one script each.

A single message without an idempotency key goes together with those that come at the same time.

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
from shared.store.chunks import Chunk, Draft, Pin, Rendered, digest_of, render
from shared.store.flow import placed
from shared.store.groups import NotBegun
from shared.store.outage import outages
from shared.store.partition import Partition, Store
from shared.store.placing import partition_of
from shared.store.storing import Stored, store_chunk, store_together
from shared.store.telling import tell_scheduled


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


async def schedule(
    store: Store, drafts: Sequence[Draft], idempotency_key: str | None = None, asked: Durability = "memory"
) -> Accepted:
    """Stores the messages, as safe as asked. Raises ``Conflict``, ``NotStored``, ``Unconfirmed``, ``InvalidField``."""
    if idempotency_key is not None:
        accepted, _ = await _schedule_with(store, drafts, idempotency_key, asked)
    elif len(drafts) == 1:
        accepted = await _schedule_one(store, drafts, asked)
    else:
        accepted, traces = await _schedule_with(store, drafts, f"batch-{secrets.token_hex(16)}", asked)
        await _forget(traces)
    return accepted


async def schedule_once(store: Store, draft: Draft, name: str, ttl_ms: int, asked: Durability = "memory") -> Accepted:
    """A message of that name. Another one of the same name, whatever it holds, is not stored while the first is remembered, and
    the answer is that of the first.

    The name is looked for where the message belongs: with several partitions, that of a message with a flow key is another one.
    Raises ``NotStored``, ``Unconfirmed``, ``NotSafe``.
    """
    pin, digest = _pin(store), blake2b(name.encode(), digest_size=20).hexdigest()
    pinned = pin(draft) if pin else None
    first = partition_of(digest, len(store.partitions)) if pinned is None else pinned
    seed, accepted_ms = _turn(store, [draft], await _now_ms(store.partitions[first]))
    rendered = render(store.partitions, first, [draft], seed, accepted_ms, pin)
    chunk = rendered.chunks[0]
    record = f"{rendered.ids[0]} {rendered.due_ms[0]} {accepted_ms}"
    try:
        found = await store_chunk(chunk, asked, chunk.partition.keys.idempotency(digest), ttl_ms, record)
        found.check()
    except Outage as outage:
        raise _failure(outage, rendered, None, begun=False) from outage
    if found.verdict == b"stored":
        tell_scheduled(rendered, [draft], accepted_ms)
        return Accepted(rendered.ids, rendered.due_ms, found.reached, deduplicated=False)
    message_id, due_ms, _ = found.earlier.split()
    return Accepted([message_id], [int(due_ms)], found.reached, deduplicated=True)


async def _schedule_one(store: Store, drafts: Sequence[Draft], asked: Durability) -> Accepted:
    """A message that no repeat will look for."""
    first = secrets.randbelow(len(store.partitions))
    seed, accepted_ms = _turn(store, drafts, await _now_ms(store.partitions[first]))
    rendered = render(store.partitions, first, drafts, seed, accepted_ms, _pin(store))
    try:
        if asked == "memory":
            reached = await store_together(rendered.chunks[0])
        else:
            found = await store_chunk(rendered.chunks[0], asked)
            found.check()
            reached = found.reached
    except Outage as outage:
        raise _failure(outage, rendered, None, begun=False) from outage
    tell_scheduled(rendered, drafts, accepted_ms)
    return Accepted(rendered.ids, rendered.due_ms, reached, deduplicated=False)


async def _schedule_with(
    store: Store, drafts: Sequence[Draft], idempotency_key: str, asked: Durability
) -> tuple[Accepted, list[tuple[Partition, str]]]:
    """With a key. Beside the answer, the idempotency records that were left."""
    key_digest = blake2b(idempotency_key.encode(), digest_size=20).hexdigest()
    first = partition_of(key_digest, len(store.partitions))
    seed, accepted_ms = _turn(store, drafts, await _now_ms(store.partitions[first]))
    digest, ttl_ms = digest_of(drafts), store.settings.producer.idempotency_ms
    rendered = _render_keyed(store, first, drafts, seed, accepted_ms)
    deduplicated, begun = False, False

    def record_of(number: int) -> tuple[Partition, str]:
        partition = rendered.chunks[number].partition
        return partition, partition.keys.idempotency(_chunk_key(key_digest, number, seed), number)

    async def store_number(number: int) -> Stored:
        _, key = record_of(number)
        found = await store_chunk(rendered.chunks[number], asked, key, ttl_ms, f"{digest} {seed.hex()} {accepted_ms}")
        if found.verdict == b"conflict":
            raise Conflict("the idempotency key was used before for a request with another content")
        return found

    try:
        found = await store_number(0)
        begun = True
        if found.verdict == b"repeated":
            _, seed_text, accepted_text = found.earlier.split()
            seed, accepted_ms, deduplicated = bytes.fromhex(seed_text), int(accepted_text), True
            rendered = _render_keyed(store, first, drafts, seed, accepted_ms)
        reached = await _store_rest(store_number, len(rendered.chunks), found, asked, in_turn=_are_ordered(drafts))
    except Outage as outage:
        raise _failure(outage, rendered, idempotency_key, begun=begun) from outage
    if not deduplicated:
        tell_scheduled(rendered, drafts, accepted_ms)
    records = [record_of(number) for number in range(len(rendered.chunks))]
    return Accepted(rendered.ids, rendered.due_ms, reached, deduplicated), records


def _are_ordered(drafts: Sequence[Draft]) -> bool:
    return any(draft.options.ordered for draft in drafts)


def _turn(store: Store, drafts: Sequence[Draft], now_ms: int) -> tuple[bytes, int]:
    """The seed that the ids follow from, and the time of acceptance."""
    return store.turns.take(len(drafts), now_ms) if _are_ordered(drafts) else (secrets.token_bytes(8), now_ms)


def _pin(store: Store) -> Pin | None:
    """All messages of a flow key lie in one partition, so that it can count them."""
    if len(store.partitions) == 1:
        return None
    topics = store.settings.all_topics()

    def pin(draft: Draft) -> int | None:
        topic, flow_key = topics.get(draft.topic), draft.options.flow_key
        return placed(topic, flow_key, len(store.partitions)) if topic and (flow_key or topic.limit.any) else None

    return pin


def _render_keyed(store: Store, first: int, drafts: Sequence[Draft], seed: bytes, accepted_ms: int) -> Rendered:
    """The first chunk lies where its idempotency record is looked for, whatever the content; it may be empty."""
    rendered = render(store.partitions, first, drafts, seed, accepted_ms, _pin(store))
    if rendered.chunks[0].partition is not store.partitions[first]:
        rendered.chunks.insert(0, Chunk(store.partitions[first], {}))
    return rendered


def _failure(outage: Outage, rendered: Rendered, idempotency_key: str | None, *, begun: bool) -> Outage:
    """``begun``: whether a part of it is stored."""
    if not begun and (outage.kind in _REFUSED_UNWRITTEN or isinstance(outage, NotBegun)):
        return NotStored(outage)
    return Unconfirmed(outage, rendered.ids, idempotency_key)


async def _store_rest(
    store_chunk: Callable[[int], Awaitable[Stored]], chunks: int, first: Stored, asked: Durability, *, in_turn: bool
) -> Durability:
    """All chunks but the first. One after the other; side by side where each waits to be safe, so that they wait together. Not so
    with ordered messages: a later chunk may not be dispatched while an earlier one is not there.

    Returns how safe the least safe one is. Raises ``NotSafe`` where that is less than asked.
    """
    if asked == "memory":
        stored = [first, *[await store_chunk(number) for number in range(1, chunks)]]
        return min((one.reached for one in stored), key=lambda reached: reached != "memory")
    first.check()
    if in_turn:
        for number in range(1, chunks):
            (await store_chunk(number)).check()
        return asked
    results = await asyncio.gather(*(store_chunk(number) for number in range(1, chunks)), return_exceptions=True)
    for result in results:  # raised only when none is at work any more
        if isinstance(result, BaseException):
            raise result
        result.check()
    return asked


async def _now_ms(partition: Partition) -> int:
    if not partition.clock.synchronised:  # else "now" would be this host's
        try:
            await partition.synchronise()
        except Outage as outage:
            raise NotStored(outage) from outage
    return partition.clock.now_ms()


def _chunk_key(key_digest: str, number: int, seed: bytes) -> str:
    """The first chunk's record decides the seed; the others' names follow from it, so none outlives its request's meaning."""
    return key_digest if number == 0 else blake2b(key_digest.encode() + seed, digest_size=20).hexdigest()


async def _forget(records: list[tuple[Partition, str]]) -> None:
    """Removes the traces of a key that was made here and that nobody was told. Where that fails, their time to live does it."""
    with suppress(Outage), outages():
        for partition, record in records:
            await partition.client.unlink(record)
