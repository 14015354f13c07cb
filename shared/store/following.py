"""New messages that the end of a delivery makes, in the partition that it lay in: what the ``settle`` script stores. Pure."""

from __future__ import annotations

from secrets import randbits

from shared.ids import first_score, make_id
from shared.record import Record, encode_record
from shared.store.chunks import Draft
from shared.store.entries import Follow
from shared.store.keys import lane_of


def follow(draft: Draft, partition: int, made_ms: int) -> Follow:
    """One with an id of its own, so it is made once and sent to the script as often as that takes."""
    bits = randbits(61)
    due_ms = draft.due_at(made_ms, bits << 3)
    message_id, options = make_id(draft.topic, partition, due_ms, bits), draft.options_at(due_ms)
    return Follow(
        id=message_id,
        lane=lane_of(draft.topic, options.priority, options.flow_key),
        due_ms=due_ms,
        score=first_score(due_ms, bits),
        record=encode_record(Record(message_id, made_ms, draft.kind, draft.body, options)),
        labels=options.labels,
    )
