"""The names of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from shared.store.keys import LEVELS, LIMITED, FlowSet, Keys, lane_of, lane_of_stream, lanes, parse_lane

TOPICS = ["echo", "a.b-c_d", "stream", "x" * 64]


def names_of(keys: Keys) -> list[str]:
    fixed = [keys.index, keys.finished, keys.finished_expiry, keys.dead, keys.dead_records, keys.counts]
    fixed += [keys.topics, keys.wake_channel]
    per_topic = [
        name
        for topic in TOPICS
        for name in (*keys.dues(topic), *keys.streams(topic), *(keys.flow(topic, what) for what in get_args(FlowSet)))
    ]
    chunks = [keys.idempotency("d"), keys.idempotency("d", 1), keys.idempotency("e")]
    return [
        *fixed,
        *per_topic,
        *chunks,
        keys.errors("echo-0-1"),
        keys.errors("echo-0-2"),
        keys.rate("a"),
        keys.rate("b"),
        keys.tally(1),
        keys.tally(2),
    ]


def test_no_two_keys_share_a_name() -> None:
    """Not within a partition, not across partitions, not across prefixes."""
    names = [name for prefix in ("mss", "other") for number in (0, 1, 10) for name in names_of(Keys(prefix, number))]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("partition", [0, 7, 1023])
def test_every_key_carries_prefix_and_hash_tag(partition: int) -> None:
    """The tag is the partition's number alone, so all keys of a partition lie in one slot."""
    assert all(name.startswith(f"mss:{{{partition}}}:") for name in names_of(Keys("mss", partition)))
    assert all(name.count("{") == 1 for name in names_of(Keys("mss", partition)))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_stream_tells_its_lane(topic: str) -> None:
    """What a worker reads names topic and level, whatever the topic is called."""
    found = [lane_of_stream(stream) for stream in Keys("mss", 3).streams(topic)]

    assert [parse_lane(lane) for lane in found] == [(topic, level) for level in LEVELS]
    assert (
        sorted(found) == sorted(set(lanes(topic)) - {f"{topic}:{LIMITED}"}) == sorted(lane_of(topic, level) for level in LEVELS)
    )
    assert lane_of(topic, "high", "a-key") == f"{topic}:{LIMITED}"
    assert lane_of(topic, None) == topic


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (lambda keys: keys.due("echo"), "mss:{0}:due:echo"),
        (lambda keys: keys.due("echo:high"), "mss:{0}:due:echo:high"),
        (lambda keys: keys.stream("echo"), "mss:{0}:stream:echo:normal"),
        (lambda keys: keys.stream("echo", "low"), "mss:{0}:stream:echo:low"),
        (lambda keys: keys.index, "mss:{0}:index"),
        (lambda keys: keys.errors("echo-0-1"), "mss:{0}:errors:echo-0-1"),
        (lambda keys: keys.dead, "mss:{0}:dead"),
        (lambda keys: keys.finished, "mss:{0}:finished"),
        (lambda keys: keys.rate("billing"), "mss:{0}:rate:billing"),
        (lambda keys: keys.tally(179548896), "mss:{0}:tally:179548896"),
        (lambda keys: keys.idempotency("d"), "mss:{0}:idempotency:d"),
        (lambda keys: keys.idempotency("d", 2), "mss:{0}:idempotency:d:2"),
    ],
)
def test_names_that_people_type_stay(name: Callable[[Keys], str], expected: str) -> None:
    """Stored data lies under these names: changing one is a migration."""
    assert name(Keys("mss", 0)) == expected
