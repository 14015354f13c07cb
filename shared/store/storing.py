"""The script that stores: a chunk to itself, or a single message together with those that come at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from shared.settings import Durability
from shared.store.chunks import CHUNK_BYTES, CHUNK_MESSAGES, Chunk, Message
from shared.store.commit import NotSafe
from shared.store.groups import Groups
from shared.store.keys import parse_lane
from shared.store.partition import Partition
from shared.store.scripts import SCHEDULE, Argument


class Stored(Struct, frozen=True):
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


async def store_chunk(chunk: Chunk, asked: Durability, key: str = "", ttl_ms: int = 0, record: str = "") -> Stored:
    """``key``, ``ttl_ms``, ``record``: of the idempotency record of this chunk, where it has one. Raises ``Outage``."""
    unsafe: NotSafe | None = None
    try:
        answer, reached = await _run(chunk.partition, chunk.lanes, asked, key, ttl_ms, record, labelled=chunk.labelled)
    except NotSafe as error:
        answer, reached, unsafe = error.answer, "memory", error
    if answer[0] == b"stored":
        _count(chunk.partition, chunk.lanes)
    return Stored(answer[0], answer[1].decode() if len(answer) > 1 else "", reached, unsafe)


async def store_together(chunk: Chunk) -> Durability:
    """A chunk of one message without a key: what comes for its lane while a script runs goes together in the next one, those
    with labels among themselves.

    Each is stored or not as if it came alone, since nothing but an outage or a key of another type, which is the same for
    all, refuses any of them.
    Returns how safe it is. Raises ``Outage``.
    """
    ((lane, (message,)),) = chunk.lanes.items()
    kind = f"{lane} with labels" if chunk.labelled else lane
    groups = chunk.partition.gathering.get(kind)
    if groups is None:
        work = partial(_store_all, chunk.partition, lane, labelled=chunk.labelled)
        groups = chunk.partition.gathering[kind] = Groups(work, at_once=1, most=CHUNK_MESSAGES, most_bytes=CHUNK_BYTES)
    reached: Durability = await groups.run(message, chunk.size_bytes)
    return reached


async def _store_all(partition: Partition, lane: str, messages: list[Message], *, labelled: bool) -> list[Durability]:
    _, reached = await _run(partition, {lane: messages}, "memory", labelled=labelled)
    _count(partition, {lane: messages})
    return [reached] * len(messages)


def _count(partition: Partition, lanes: Mapping[str, list[Message]]) -> None:
    for lane, messages in lanes.items():
        partition.counted[parse_lane(lane)[0], "accepted"] += len(messages)


async def _run(
    partition: Partition,
    lanes: Mapping[str, list[Message]],
    asked: Durability,
    key: str = "",
    ttl_ms: int = 0,
    record: str = "",
    *,
    labelled: bool,
) -> tuple[Any, Durability]:
    keys = [partition.keys.due(lane) for lane in lanes]
    if ttl_ms:
        keys.append(key)
    if labelled:
        keys.append(partition.keys.labels)
    arguments: list[Argument] = [partition.keys.wake_channel, ttl_ms, record]
    for messages in lanes.values():
        arguments.append(len(messages))
        for message in messages:
            arguments += message
    return await partition.run(SCHEDULE, keys, arguments, asked, b"stored", b"repeated", b"conflict")
