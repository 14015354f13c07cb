"""What was done to messages, told to those who watch and to the log. Each looks first whether anybody wants to know."""

from __future__ import annotations

from collections.abc import Sequence

from shared.about import About, about
from shared.events import UNHEARD, Event, Kind
from shared.ids import parse_id
from shared.record import Options, Record
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
    """``at_ms``: where it is not now. ``count``: of many messages, of which the log tells none."""
    if partition.events.wanted or (partition.events.wants(topic) and not count):
        labels = record.options.labels if record else ()
        at_ms = partition.clock.now_ms() if at_ms is None else at_ms
        partition.events.add(
            Event(
                event=event,
                at_ms=at_ms,
                topic=topic,
                message_id=message_id,
                due_ms=due_ms,
                labels=labels,
                count=count,
                about=_about(event, record) if record and topic in partition.events.kept else None,
            )
        )


def _about(event: Kind, record: Record) -> About | None:
    return about(record.options, record.body if event == "scheduled" else None)


def tell_scheduled(rendered: Rendered, drafts: Sequence[Draft], accepted_ms: int) -> None:
    """New messages that are stored. By the time that this is known here, they may have been delivered."""
    partitions = {chunk.partition.number: chunk.partition for chunk in rendered.chunks}
    topics = {draft.topic for draft in drafts}
    if not any(partition.events.wants(topic) for partition in partitions.values() for topic in topics):
        return
    for draft, message_id, due_ms in zip(drafts, rendered.ids, rendered.due_ms, strict=True):
        parsed = parse_id(message_id)
        events = partitions[parsed.partition].events if parsed else UNHEARD
        if events.wants(draft.topic):
            events.add(scheduled(message_id, draft.topic, accepted_ms, due_ms, draft.options, draft.body, events.kept))


def scheduled(message_id: str, topic: str, at_ms: int, due_ms: int, options: Options, body: bytes, kept: frozenset[str]) -> Event:
    """A new message, with all that the log tells of it."""
    return Event(
        event="scheduled",
        at_ms=at_ms,
        topic=topic,
        message_id=message_id,
        due_ms=due_ms,
        labels=options.labels,
        about=about(options, body) if topic in kept else None,
    )
