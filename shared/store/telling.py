"""What was done to messages, told to those who watch. Each looks first whether anybody does."""

from __future__ import annotations

from collections.abc import Sequence

from shared.events import Event, Kind
from shared.record import Record
from shared.store.chunks import Draft, Rendered
from shared.store.partition import Partition


def tell(
    partition: Partition,
    event: Kind,
    topic: str,
    message_id: str = "",
    *,
    due_ms: int = 0,
    record: Record | None = None,
    count: int = 0,
) -> None:
    if partition.events.wanted:
        labels = record.options.labels if record else ()
        at_ms = partition.clock.now_ms()
        partition.events.add(
            Event(event=event, at_ms=at_ms, topic=topic, message_id=message_id, due_ms=due_ms, labels=labels, count=count)
        )


def tell_scheduled(rendered: Rendered, drafts: Sequence[Draft]) -> None:
    """New messages that are stored."""
    start = 0
    for chunk in rendered.chunks:
        if chunk.partition.events.wanted:
            at_ms = chunk.partition.clock.now_ms()
            for number in range(start, start + chunk.count):
                draft, message_id, due_ms = drafts[number], rendered.ids[number], rendered.due_ms[number]
                chunk.partition.events.add(
                    Event(
                        event="scheduled", at_ms=at_ms, topic=draft.topic, message_id=message_id, due_ms=due_ms,
                        labels=draft.options.labels,
                    )
                )  # fmt: skip
        start += chunk.count
