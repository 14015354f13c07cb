"""Every key of the service, named here and nowhere else.

All keys of a partition carry its number as hash tag, so that one script and one ``XREADGROUP`` may touch them together on
a Redis Cluster.
"""

from __future__ import annotations

from typing import Literal

GROUP = "consumers"
"""The consumer group, of the same name on every stream."""
LEVELS = ("high", "normal", "low")
"""Priority levels, a lane each: a due set and a stream."""
USUAL = "normal"
"""The level of a message that asks for none."""
LIMITED = "limited"
"""The lane of messages with a flow key, whatever their level: a due set only."""
ALL = "all"
"""In place of a lane in a wake-up: each of the topic's."""
PARKED = "parked"
"""What of that lane waits for a place of its flow key: a due set that is not dispatched."""


class Keys:
    """The keys of one partition."""

    def __init__(self, prefix: str, partition: int) -> None:
        self._base = f"{prefix}:{{{partition}}}"
        self.partition = partition
        self.index = f"{self._base}:index"
        """HASH id → where a message lies that was moved since it was stored."""
        self.finished = f"{self._base}:finished"
        """HASH id → outcome and times (JSON) of a delivered, expired or cancelled message."""
        self.finished_expiry = f"{self._base}:finished:expiry"
        """ZSET of the ids in ``finished`` by the millisecond at which each may go."""
        self.dead = f"{self._base}:dead"
        """ZSET of dead letters' ids by the millisecond at which each died."""
        self.dead_records = f"{self._base}:dead:records"
        """HASH id → a line of JSON (why), a line of JSON (errors), the record."""
        self.counts = f"{self._base}:counts"
        """HASH of counters that outlive processes."""
        self.topics = f"{self._base}:topics"
        """SET of every topic ever used."""
        self.paused = f"{self._base}:paused"
        """SET of topics of which nothing new is delivered."""
        self.mark = f"{self._base}:mark"
        """STRING that is gone a millisecond after it was written: what a wait for safety waits for."""
        self.trial = f"{self._base}:trial"
        """STRING on which a process tries, when it starts, whether it may run each command of the scripts."""
        self.labels = f"{self._base}:labels"
        """ZSET ``<label>\\t<digits of the id>\\t<id>``, all of score 0, of messages that carry labels and are not over."""
        self.schedules = f"{self._base}:schedules"
        """ZSET of the ids of all recurring schedules, all of score 0: in the order of the ids."""
        self.schedules_next = f"{self._base}:schedules:next"
        """ZSET of the ids of those that are active, by the millisecond of their next occurrence."""
        self.webhooks = f"{self._base}:webhooks"
        """HASH of the first partition: ``group <name>`` → a URL group (JSON), ``signing`` → the signing keys (JSON)."""
        self.log = f"{self._base}:log"
        """STREAM of what happened to webhook messages (``event``: JSON), the newest of them."""
        self.wake_channel = f"{self._base}:wake"
        """Pub/Sub channel: ``<lane> <due ms>`` of a message that became its lane's earliest."""
        self.events_channel = f"{self._base}:events"
        """Pub/Sub channel: what happens to messages (JSON), while somebody watches."""

    def due(self, lane: str) -> str:
        """ZSET of waiting records by due time (milliseconds and a tie), one per lane."""
        return f"{self._base}:due:{lane}"

    def dues(self, topic: str) -> list[str]:
        """All due sets of a topic, the usual one first: most messages lie there."""
        return [self.due(lane) for lane in (*lanes(topic), f"{topic}:{PARKED}")]

    def stream(self, topic: str, level: str = USUAL) -> str:
        """STREAM of messages that are due, one per topic and priority."""
        return f"{self._base}:stream:{topic}:{level}"

    def streams(self, topic: str) -> list[str]:
        """All streams of a topic, that of the highest level first."""
        return [self.stream(topic, level) for level in LEVELS]

    def errors(self, message_id: str) -> str:
        """LIST of the errors (JSON) of a message's failed attempts, oldest first."""
        return f"{self._base}:errors:{message_id}"

    def schedule(self, schedule_id: str) -> str:
        """HASH of a recurring schedule: its definition (JSON), the record that its messages are made from, where it stands."""
        return f"{self._base}:schedule:{schedule_id}"

    def runs(self, schedule_id: str) -> str:
        """LIST ``<occurrence ms> <message id>`` of what it made, oldest first."""
        return f"{self._base}:schedule:{schedule_id}:runs"

    def idempotency(self, digest: str, chunk: int = 0) -> str:
        """STRING ``<request digest> <seed> <accepted ms>`` of an idempotency key, one per chunk of a large request."""
        return f"{self._base}:idempotency:{digest}" + (f":{chunk}" if chunk else "")

    def rate(self, name: str) -> str:
        """STRING: the millisecond from which an API key has its whole burst free again. It expires then."""
        return f"{self._base}:rate:{name}"

    def tally(self, tens: int) -> str:
        """HASH ``<topic> <what>`` → how many messages in those ten seconds since the epoch. It expires."""
        return f"{self._base}:tally:{tens}"

    def parked(self, topic: str) -> str:
        """ZSET of records that wait for a place of their flow key, by due time."""
        return self.due(f"{topic}:{PARKED}")

    def flow(self, topic: str, what: FlowSet) -> str:
        """ZSET, one of seven for each topic with flow keys: see ``lua/admit.lua``."""
        return f"{self._base}:flow:{topic}:{what}"


SCHEDULES = "*schedules"
"""In place of a topic in a wake-up: no topic can have that name."""


FlowSet = Literal["line", "held", "log", "next", "limits", "logs", "kept"]


def lane_of(topic: str, level: str | None, flow_key: str | None = None) -> str:
    """The lane of a topic's messages of that level or with a flow key: the topic's name alone is the usual one."""
    if flow_key:
        return f"{topic}:{LIMITED}"
    return topic if level is None or level == USUAL else f"{topic}:{level}"


def lanes(topic: str) -> list[str]:
    """All lanes of a topic, the usual one first."""
    return [topic, *(lane_of(topic, level) for level in LEVELS if level != USUAL), f"{topic}:{LIMITED}"]


def parse_lane(lane: str) -> tuple[str, str]:
    """Topic and level of a lane, or what stands for one."""
    topic, _, level = lane.partition(":")
    return topic, level or USUAL


def lane_of_stream(stream: str) -> str:
    """The lane of a stream's key."""
    topic, level = stream.rsplit(":", 2)[1:]
    return lane_of(topic, level)
