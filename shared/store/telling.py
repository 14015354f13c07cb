"""What was done to messages, told to those who watch. Each looks first whether anybody does."""

from __future__ import annotations

from collections.abc import Sequence

from shared.events import Event, Kind
from shared.ids import parse_id
from shared.record import Record
from shared.store.chunks import Draft, Rendered
from shared.store.partition import Partition


def tell(
    partition: Partition,
    event: Kind,
    topic: str,
    message_id: str = "",
    *,
    at_ms: int | None = None,
    due_ms: int = 0,
    record: Record | None = None,
    count: int = 0,
) -> None:
    """``at_ms``: where it is not now."""
    if partition.events.wanted:
        labels = record.options.labels if record else ()
        at_ms = partition.clock.now_ms() if at_ms is None else at_ms
        partition.events.add(
            Event(event=event, at_ms=at_ms, topic=topic, message_id=message_id, due_ms=due_ms, labels=labels, count=count)
        )


def tell_scheduled(rendered: Rendered, drafts: Sequence[Draft], accepted_ms: int) -> None:
    """New messages that are stored. By the time that this is known here, they may have been delivered."""
    watched = {chunk.partition.number: chunk.partition for chunk in rendered.chunks if chunk.partition.events.wanted}
    if not watched:
        return
    for draft, message_id, due_ms in zip(drafts, rendered.ids, rendered.due_ms, strict=True):
        parsed = parse_id(message_id)
        partition = watched.get(parsed.partition) if parsed else None
        if partition is not None:
            partition.events.add(
                Event(
                    event="scheduled", at_ms=accepted_ms, topic=draft.topic, message_id=message_id, due_ms=due_ms,
                    labels=draft.options.labels,
                )
            )  # fmt: skip
