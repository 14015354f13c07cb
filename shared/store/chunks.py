"""From drafts to what a script stores: ids, records, and chunks of at most 250 messages and about a mebibyte. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import count

from msgspec import Struct, msgpack, structs

from shared.ids import first_score, make_id, ordered_bits, random_bits
from shared.record import NO_OPTIONS, Kind, Options, Record, encode_record
from shared.store.keys import lane_of
from shared.store.partition import Partition

CHUNK_MESSAGES = 250
CHUNK_BYTES = 2**20
HEADER_BYTES = 200
"""What a record holds besides its body, about."""


class Draft(Struct, frozen=True):
    """A message as a caller asked for it, checked, not yet stored. Exactly one of ``due_ms`` and ``delay_ms`` counts."""

    topic: str
    kind: Kind
    body: bytes
    due_ms: int | None = None
    delay_ms: int = 0
    options: Options = NO_OPTIONS
    spread_ms: int = 0
    """The window after the due time in which it is delivered, evenly spread."""
    expires_after_ms: int | None = None
    """Past its due time."""

    def due_at(self, accepted_ms: int, bits: int = 0) -> int:
        """A time in the past is due when accepted. ``bits``: 64 random ones, which say where in the window."""
        due_ms = accepted_ms + self.delay_ms if self.due_ms is None else max(self.due_ms, accepted_ms)
        return due_ms + (bits * (self.spread_ms + 1) >> 64)

    def options_at(self, due_ms: int) -> Options:
        if self.expires_after_ms is None:
            return self.options
        return structs.replace(self.options, expires_ms=due_ms + self.expires_after_ms)


Message = tuple[str, bytes]
"""Score and record."""


class Chunk(Struct):
    """What one script stores, all or none."""

    partition: Partition
    lanes: dict[str, list[Message]]
    count: int = 0
    size_bytes: int = 0
    labelled: bool = False
    """Whether one of its messages has labels."""

    def has_room(self, size_bytes: int) -> bool:
        return self.count < CHUNK_MESSAGES and self.size_bytes + size_bytes <= CHUNK_BYTES


class Rendered(Struct):
    """Drafts with their ids, cut into chunks."""

    ids: list[str]
    due_ms: list[int]
    chunks: list[Chunk]


Pin = Callable[[Draft], int | None]
"""The partition that a message has to lie in; ``None`` where any will do."""


def render(
    partitions: Sequence[Partition], first: int, drafts: Sequence[Draft], seed: bytes, accepted_ms: int, pin: Pin | None = None
) -> Rendered:
    """The same drafts, seed and time give the same ids, records and chunks. ``first``: the partition of the first chunk of those
    that may lie anywhere. ``pin``: ``None`` where all may.
    """
    rendered = Rendered([], [], [])
    filling: dict[int | None, Chunk] = {}
    anywhere = count(first)
    for position, (draft, bits) in enumerate(zip(drafts, random_bits(seed, len(drafts)), strict=True)):
        size_bytes = len(draft.body) + HEADER_BYTES
        pinned = pin(draft) if pin else None
        chunk = filling.get(pinned)
        if chunk is None or not chunk.has_room(size_bytes):
            chunk = Chunk(partitions[(next(anywhere) if pinned is None else pinned) % len(partitions)], {})
            filling[pinned] = chunk
            rendered.chunks.append(chunk)
        due_ms = draft.due_at(accepted_ms, bits)
        id_bits = ordered_bits(seed, position, bits) if draft.options.ordered else bits
        message_id = make_id(draft.topic, chunk.partition.number, due_ms, id_bits)
        record = encode_record(Record(message_id, accepted_ms, draft.kind, draft.body, draft.options_at(due_ms)))
        chunk.lanes.setdefault(lane_of(draft.topic, draft.options.priority, draft.options.flow_key), []).append(
            (first_score(due_ms, id_bits), record)
        )
        chunk.count += 1
        chunk.labelled |= bool(draft.options.labels)
        chunk.size_bytes += size_bytes
        rendered.ids.append(message_id)
        rendered.due_ms.append(due_ms)
    return rendered


_encode = msgpack.Encoder(order="sorted").encode


def digest_of(drafts: Sequence[Draft]) -> str:
    """What the request asks for, however it was written and traced (a repeat has a span of its own): 128 bits."""
    return blake2b(_encode([_untraced(draft) for draft in drafts]), digest_size=16).hexdigest()


def _untraced(draft: Draft) -> Draft:
    if draft.options.trace is None:
        return draft
    return structs.replace(draft, options=structs.replace(draft.options, trace=None))
