"""Flow control: what is let through of a topic and of each flow key, and what waits for a place."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from shared.settings import WEBHOOK, LimitSettings, TopicSettings
from shared.store.due import Dispatched
from shared.store.keys import GROUP, LIMITED, FlowSet, parse_lane
from shared.store.outage import outages
from shared.store.partition import Partition, Store
from shared.store.placing import partition_of
from shared.store.scripts import ADMIT, FLOW_KEYS, LIMIT, RESET_RATE, TIDY
from shared.store.telling import tell

TIDY_COUNT = 500
"""Places looked at by one script."""


def is_limited(topic: TopicSettings, lane: str) -> bool:
    """Whether what is due in a lane has to be admitted, and is not just dispatched."""
    return topic.limit.any or parse_lane(lane)[1] == LIMITED


QUEUE_PREFIX = "queue:"
"""Before the name of a queue in its flow key, in topic ``webhook``."""


async def admit(partition: Partition, topic: TopicSettings, lane: str, limit: int, max_stream_length: int) -> Dispatched:
    """Moves at most ``limit`` due messages of a lane to their streams, as far as limits let them. Raises ``Outage``."""
    keys, name = partition.keys, topic.name
    moved, next_ms, now_ms, full = await ADMIT.run(
        partition.client,
        [
            keys.due(lane), keys.index, keys.parked(name), keys.flow(name, "line"), keys.flow(name, "held"),
            keys.flow(name, "log"), keys.flow(name, "next"), keys.flow(name, "limits"), keys.flow(name, "logs"),
            keys.flow(name, "kept"), *keys.streams(name),
        ],
        [
            limit, max_stream_length, GROUP, _text(topic.limit), _text(topic.flow_key_limit),
            QUEUE_PREFIX if name == WEBHOOK.name else "",
        ],
    )  # fmt: skip
    if moved:
        tell(partition, "ready", name, count=moved)
    return Dispatched(moved, next_ms if next_ms >= 0 else None, now_ms, bool(full))


def _text(limit: LimitSettings) -> str:
    """As the scripts take it: not paused."""
    return f"{limit.rate} {limit.period_ms} {limit.concurrency} 0"


async def tidy(partition: Partition, topic: str) -> int:
    """Gives back the places of messages that are in no stream any more, and of those that keep theirs and do not wait any more.

    Returns how many. Raises ``Outage``.
    """
    keys = partition.keys
    return await _tidy(partition, topic, keys.flow(topic, "held"), "stream") + await _tidy(
        partition, topic, keys.flow(topic, "kept"), "due"
    )


async def _tidy(partition: Partition, topic: str, places: str, should_be: str) -> int:
    keys, after, total = partition.keys, b"", 0
    waiting = [keys.due(f"{topic}:{LIMITED}"), keys.parked(topic)]
    while True:
        after, given_back = await TIDY.run(
            partition.client,
            [keys.index, places, keys.flow(topic, "next"), *waiting, *keys.streams(topic)],
            [after, TIDY_COUNT, keys.wake_channel, should_be],
        )
        total += int(given_back)
        if not after:
            return total


_LOOKED_AT: tuple[FlowSet, ...] = ("limits", "held", "line", "log", "kept")


class FlowKey(Struct, frozen=True):
    """A flow key as it is at one moment."""

    flow_key: str
    rate: int
    period_ms: int
    concurrency: int
    paused: bool
    own: bool
    """Whether the limits are its own, and not those of its topic's settings."""
    held: int
    """Messages that were let through and are not over: ready, running, or ordered and waiting for their next attempt."""
    waiting: int
    """Due messages that wait for a place; those cancelled meanwhile are among them until their turn comes."""
    recent: int
    """Messages let through within the last period."""
    pinned_rate: bool = False
    """Whether its rate and period stay whatever messages offer."""
    pinned_concurrency: bool = False


class Limit(NamedTuple):
    """What a flow key may do; 0 is no limit."""

    rate: int
    period_ms: int
    concurrency: int


def placed(topic: TopicSettings, flow_key: str | None, partitions: int) -> int:
    """The partition of a flow key's messages: one, so that it can count them. A topic with a limit lies in one as a whole."""
    return partition_of(topic.name if topic.limit.any else f"{topic.name} {flow_key}", partitions)


async def get(store: Store, topic: str, flow_key: str) -> FlowKey:
    """Also one that nobody has used. Raises ``Outage``."""
    (found,) = await _look(store, topic, flow_key, 0)
    return found


async def flow_keys(store: Store, topic: str, after: str, limit: int) -> list[FlowKey]:
    """Those with limits of their own, held places or waiting messages, in the order of their bytes. Raises ``Outage``."""
    return (await _look(store, topic, after, limit))[:limit]


async def _look(store: Store, topic: str, after: str, limit: int) -> list[FlowKey]:
    """Over all partitions: limits are the same in each, and what recurring schedules make lies in theirs."""
    found: dict[str, FlowKey] = {}
    for partition in store.partitions:
        for one in await _look_at(store, partition, topic, after, limit):
            other = found.get(one.flow_key)
            found[one.flow_key] = _sum(one, other) if other else one
    return [found[flow_key] for flow_key in sorted(found)]


def _sum(one: FlowKey, other: FlowKey) -> FlowKey:
    return replace(one, held=one.held + other.held, waiting=one.waiting + other.waiting, recent=one.recent + other.recent)


async def _look_at(store: Store, partition: Partition, topic: str, after: str, limit: int) -> list[FlowKey]:
    keys = partition.keys
    with outages():
        rows = await FLOW_KEYS.run(
            partition.client,
            [keys.flow(topic, what) for what in _LOOKED_AT],
            [after, limit, _usual(store, topic)],
        )
    return [
        FlowKey(name.decode(), *numbers[:3], *map(bool, numbers[3:5]), *numbers[5:8], *map(bool, numbers[8:]))
        for name, *numbers in rows
    ]


def _usual(store: Store, topic: str) -> str:
    """The limits of a key that has none of its own."""
    return _text(store.settings.all_topics()[topic].flow_key_limit)


async def set_limit(store: Store, topic: str, flow_key: str, limit: Limit | None) -> None:
    """Limits of its own, whatever is pinned; ``None``: those of its topic's settings again, with nothing pinned.

    Raises ``Outage``, like the others here; a repeat completes it.
    """
    await _set(store, topic, flow_key, "default" if limit is None else _words(*limit))


async def ensure_limit(store: Store, topic: str, flow_key: str, limit: Limit) -> None:
    """The same, where it has none of its own."""
    await _set(store, topic, flow_key, _words(*limit), mode="ensure")


async def offer_limit(store: Store, topic: str, flow_key: str, limit: Limit) -> None:
    """The same, but for what is pinned. Where nothing changes nothing is written."""
    await _set(store, topic, flow_key, _words(*limit), mode="offer")


async def pin(
    store: Store,
    topic: str,
    flow_key: str,
    *,
    rate: int | None = None,
    period_ms: int | None = None,
    concurrency: int | None = None,
) -> None:
    """Sets those that are given, and keeps them from what messages offer. A rate and its period are pinned together."""
    pins = ("-" if rate is period_ms is None else "1") + ("-" if concurrency is None else "1")
    await _set(store, topic, flow_key, _words(rate, period_ms, concurrency), pins=pins)


async def unpin(store: Store, topic: str, flow_key: str, *, rate: bool = False, concurrency: bool = False) -> None:
    """What is not pinned any more stays as it is until a message offers another."""
    await _set(store, topic, flow_key, pins=("0" if rate else "-") + ("0" if concurrency else "-"))


async def pause(store: Store, topic: str, flow_key: str, *, paused: bool) -> None:
    """While it is paused none of its messages is let through."""
    await _set(store, topic, flow_key, paused="1" if paused else "0")


async def reset_rate(store: Store, topic: str, flow_key: str) -> None:
    """Forgets what was let through of it: a new period begins now."""
    for partition in store.partitions:
        keys = partition.keys
        places = [keys.flow(topic, what) for what in _OF_RATE]
        await RESET_RATE.run(partition.client, places, [flow_key, keys.wake_channel])


_OF_RATE: tuple[FlowSet, ...] = ("log", "logs", "next")


def _words(*numbers: int | None) -> str:
    return " ".join("-" if number is None else str(number) for number in numbers)


async def _set(
    store: Store, topic: str, flow_key: str, limit: str = "", *, paused: str = "", mode: str = "set", pins: str = "--"
) -> None:
    for partition in store.partitions:
        keys = partition.keys
        await LIMIT.run(
            partition.client,
            [keys.flow(topic, "limits"), keys.flow(topic, "next")],
            [flow_key, keys.wake_channel, limit, paused, mode, pins, _usual(store, topic)],
        )
