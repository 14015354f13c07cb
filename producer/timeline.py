"""What has become of a message so far, in the order of time; and why it is late, where it is."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from producer.schemas import TimelineOut
from shared.ids import parse_id
from shared.store import flow, topics
from shared.store.messages import View
from shared.store.partition import Store
from shared.times import format_ms

LATE_MS = 1_000
"""Past its due time by more than this, a message that has not started is late."""
ASKED_MS = 10_000
"""A worker that has asked for nothing for so long is gone: a living one asks every few seconds."""


def timeline(view: View) -> tuple[TimelineOut, ...]:
    """As far as it is known: of a message that is over, what is kept of it."""
    found = [(one.started_ms, _failed(view, number)) for number, one in enumerate(view.errors)]
    if view.created_ms:
        found.append((view.created_ms, TimelineOut(at=format_ms(view.created_ms), event="created")))
    found.append((view.due_ms, TimelineOut(at=format_ms(view.due_ms), event="due")))
    if view.dispatched_ms is not None:
        found.append((view.dispatched_ms, TimelineOut(at=format_ms(view.dispatched_ms), event="dispatched")))
    finished = view.finished
    if finished is not None:
        if finished.started_ms:
            found.append((finished.started_ms, _succeeded(view, finished.started_ms, finished.settled_ms)))
        found.append((finished.settled_ms, TimelineOut(at=format_ms(finished.settled_ms), event=view.status)))
    if view.died_ms:
        found.append((view.died_ms, TimelineOut(at=format_ms(view.died_ms), event="dead", error=view.reason)))
    return tuple(event for _, event in sorted(found, key=lambda one: (one[0], _ORDER.index(one[1].event))))


_ORDER = ("created", "due", "dispatched", "attempt", "delivered", "expired", "cancelled", "dead")
"""Of one millisecond."""


def _failed(view: View, number: int) -> TimelineOut:
    one = view.errors[number]
    return TimelineOut(
        at=format_ms(one.started_ms),
        event="attempt",
        attempt=one.attempt,
        until=format_ms(one.ended_ms),
        worker=one.worker,
        error=one.error,
        retry_at=retry_at(view, number),
    )


def retry_at(view: View, number: int) -> str | UnsetType:
    """When the attempt after the failed one of that number was due."""
    retry_ms = view.retry_ms(number)
    return UNSET if retry_ms is None else format_ms(retry_ms)


def _succeeded(view: View, started_ms: int, settled_ms: int) -> TimelineOut:
    return TimelineOut(
        at=format_ms(started_ms), event="attempt", attempt=view.attempts or UNSET, until=format_ms(settled_ms), worker=view.worker
    )


async def _limited(store: Store, topic: str, flow_key: str) -> str:
    found = await flow.get(store, topic, flow_key)
    if found.paused:
        return f"its flow key {flow_key} is paused"
    return (
        f"it waits for a place of its flow key {flow_key}: {found.held} of its messages are under way, "
        f"{found.recent} were let through within its period, {found.waiting} wait"
    )


async def why_late(store: Store, view: View) -> str:
    """Why it has not started though it is due; empty where it is not late. Raises ``Outage``."""
    parsed = parse_id(view.id)
    if parsed is None or view.status not in {"scheduled", "retrying", "ready"}:
        return ""
    late_ms = store.partitions[parsed.partition].clock.now_ms() - view.due_ms
    topic = await topics.view(store, view.topic) if late_ms > LATE_MS else None
    if topic is None:
        return ""
    if topic.paused:
        return "its topic is paused"
    if view.parked and view.record is not None:
        return await _limited(store, view.topic, view.record.options.flow_key or "")
    limit = store.settings.all_topics()[view.topic].limit if topic.depth.configured else None
    if limit is not None and limit.any and view.status != "ready" and topic.depth.running >= limit.concurrency:
        return f"it waits for the limit of its topic: {topic.overdue} of its topic are due"
    if not any(one.idle_ms < ASKED_MS for one in topic.consumers):
        return f"no worker has asked for its topic for {ASKED_MS // 1000} s"
    if view.status == "ready":
        return f"the workers of its topic are busy: {topic.depth.ready} are ready, {topic.depth.running} run"
    return f"it waits to be dispatched: {topic.overdue} of its topic are due, {topic.depth.ready} are ready"
