"""Every setting with its type, default, bounds and meaning. Frozen: read once at start, checked, passed in.

Key names in the file are these names in PascalCase (``Consumers.LeaseMs``). Where the values come from is
``shared.settings_file``'s business.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.ids import TOPIC_PATTERN
from shared.record import Priority

TEXT_END = r"$(?!\n)"
"""The end of a text in a pattern of msgspec: Python's ``$`` alone also matches before a line break that ends the text."""
_KEY_PREFIX = r"^[A-Za-z0-9_.-]{1,64}" + TEXT_END
_TOPIC = f"^{TOPIC_PATTERN}{TEXT_END}"
_KEY_NAME = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,31}" + TEXT_END
_PORTS = r"^[0-9]{1,5}(-[0-9]{1,5})?" + TEXT_END
_SIGNING_KEY = r"^[\x21-\x7e]{32,200}" + TEXT_END
_KEY_HASH = r"^sha256:[0-9a-f]{64}" + TEXT_END
PATTERNS = {
    _KEY_PREFIX: "1 to 64 letters, digits and _ . -",
    _TOPIC: "a letter and then at most 63 letters, digits and _ . -",
    _KEY_NAME: "1 to 32 letters, digits and . -",
    _PORTS: "a port such as 443 or a range such as 8000-8999",
    _SIGNING_KEY: "32 to 200 visible ASCII characters",
    _KEY_HASH: "sha256: and 64 digits of 0-9a-f, as python -m cli key prints them",
}
"""Each pattern in words, for whoever wrote a text that does not fit."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Milliseconds = Annotated[int, Meta(ge=1, le=2_592_000_000)]
MillisecondsOrNone = Annotated[int, Meta(ge=0, le=2_592_000_000)]
Delays = Annotated[tuple[Annotated[int, Meta(ge=0, le=604_800_000)], ...], Meta(max_length=100)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="pascal"):
    """A group of settings; unknown keys are refused."""


class RedisSettings(Section, frozen=True):
    connection_string: Annotated[str, Meta(min_length=1)] = "localhost"
    """``host``, ``host:port``, ``redis://`` or ``rediss://`` (user, password, db, TLS options as query parameters)."""
    key_prefix: Annotated[str, Meta(pattern=_KEY_PREFIX)] = "mss"
    timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    """How long an answer may take before it counts as an outage."""
    max_connections: Annotated[int, Meta(ge=2, le=1000)] = 32
    replicas: Annotated[int, Meta(ge=1, le=100)] = 1
    """How many replicas must have a write before ``Durability: replica`` calls it safe."""
    confirm_timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    """How long a write may take to become as safe as ``Durability`` asks."""


class ProducerSettings(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 3000
    max_body_bytes: Annotated[int, Meta(ge=1, le=512 * 2**20)] = 2**20
    max_request_bytes: Annotated[int, Meta(ge=1024, le=1024 * 2**20)] = 32 * 2**20
    max_batch: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    horizon_days: Annotated[int, Meta(ge=1, le=20_000)] = 3_650
    idempotency_ms: Milliseconds = 86_400_000
    """How long an idempotency key is remembered."""
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Connections open at once; beyond, the one that has been quiet longest is closed."""
    max_in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Requests worked on at once; beyond, they are refused (503)."""
    max_in_flight_bytes: Annotated[int, Meta(ge=1024, le=64 * 2**30)] = 256 * 2**20
    """Bytes of their bodies; beyond, they are refused (503)."""
    read_timeout_ms: Annotated[int, Meta(ge=10, le=3_600_000)] = 30_000
    """How long a request's head may take to arrive, and then its body."""


class DispatcherSettings(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 3001
    batch_size: Annotated[int, Meta(ge=1, le=1000)] = 100
    max_stream_length: Count = 100_000
    """Entries a stream may hold; what is due beyond that stays in the due set."""
    tick_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
    """The safety tick behind every wake-up."""


class ConsumersSettings(Section, frozen=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 3002
    topics: tuple[Annotated[str, Meta(pattern=_TOPIC)], ...] = ()
    """Those that this process runs; none named: all."""
    threads: Annotated[int, Meta(ge=1, le=1000)] = 10
    async_limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """``async def`` handlers at work at once in a process."""
    batch_size: Annotated[int, Meta(ge=1, le=1000)] = 100
    lease_ms: Annotated[int, Meta(ge=200, le=3_600_000)] = 10_000
    claim_max_ms: Annotated[int, Meta(ge=200, le=86_400_000)] = 60_000
    deadline_ms: Milliseconds = 60_000
    """How long a handler may run."""
    grace_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 8_000
    max_abandoned_threads: Annotated[int, Meta(ge=0, le=10_000)] = 10


class RetrySettings(Section, frozen=True):
    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = 5
    initial_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 1_000
    max_ms: Annotated[int, Meta(ge=0, le=604_800_000)] = 300_000
    factor: Annotated[float, Meta(ge=1, le=100)] = 2.0
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.2
    delays_ms: Delays = ()
    """The waits themselves, instead of the formula; the last holds for all after it."""


class RetentionSettings(Section, frozen=True):
    delivered_ms: MillisecondsOrNone = 3_600_000
    """How long the outcome of a finished message can be asked for; 0 keeps none."""
    max_delivered: Annotated[int, Meta(ge=0, le=100_000_000)] = 100_000
    """Per partition; those that expire first go first."""
    dead_letters_ms: Annotated[int, Meta(ge=1000, le=31_536_000_000)] = 2_592_000_000
    max_dead_letters: Count = 100_000
    """Per partition; the oldest go first, counted and logged."""


class LoggingSettings(Section, frozen=True):
    directory: str = "logs"
    level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    format: Literal["text", "json"] = "text"
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 14


Scope = Literal["schedule", "read", "admin"]
"""What a key may do: ``schedule`` (and change, cancel, deliver now), ``read``, ``admin`` (everything)."""


class ApiKeySettings(Section, frozen=True):
    name: Annotated[str, Meta(pattern=_KEY_NAME)]
    """For people, and for the rate limit's key in Redis."""
    hash: Annotated[str, Meta(pattern=_KEY_HASH)]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    rate_per_s: Annotated[float, Meta(ge=0.001, le=1_000_000)] | None = None
    """Messages and other requests a second, over all producers; none: no limit."""
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """How many may come at once; none: a second's worth."""


class AuthSettings(Section, frozen=True):
    keys: tuple[ApiKeySettings, ...] = ()
    """Without keys the producer listens on loopback only."""
    disabled: bool = False
    """Without keys on any address: something else protects the producer."""
    public_docs: bool = True
    """Whether ``/docs`` and ``/openapi.json`` are served without a key."""


class TopicRetrySettings(Section, frozen=True):
    """A topic's own retry policy; an absent key follows ``Retry``."""

    max_attempts: Annotated[int, Meta(ge=1, le=1000)] | None = None
    initial_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    max_ms: Annotated[int, Meta(ge=0, le=604_800_000)] | None = None
    factor: Annotated[float, Meta(ge=1, le=100)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] | None = None
    delays_ms: Delays | None = None


class LimitSettings(Section, frozen=True):
    rate: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Messages that may be let through in any time of ``PeriodMs``; 0: no limit."""
    period_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 1_000
    concurrency: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Deliveries at once, of all workers; 0: no limit."""

    @property
    def any(self) -> bool:
        return self.rate > 0 or self.concurrency > 0


class TopicSettings(Section, frozen=True):
    name: Annotated[str, Meta(pattern=_TOPIC)]
    handler: Annotated[str, Meta(min_length=1)]
    """The module that registers the topic's handler, such as ``examples.reminders``."""
    retry: TopicRetrySettings = TopicRetrySettings()
    deadline_ms: Milliseconds | None = None
    retention_ms: MillisecondsOrNone | None = None
    priority: Priority = "normal"
    """Of its messages that ask for none."""
    limit: LimitSettings = LimitSettings()
    """Of all its messages together."""
    flow_key_limit: LimitSettings = LimitSettings()
    """Of each flow key that has no limit of its own."""


class WebhooksSettings(Section, frozen=True):
    """How messages of topic ``webhook`` are delivered: by HTTP requests to URLs that callers name."""

    allowed_networks: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    """Networks (CIDR) that are reached although they are private, loopback, link-local or otherwise not public."""
    allowed_ports: tuple[Annotated[str, Meta(pattern=_PORTS)], ...] = ("80", "443", "8080", "8443")
    """Ports (``443``) and ranges of them (``8000-8999``) that may be reached."""
    allowed_schemes: tuple[Literal["http", "https"], ...] = ("http", "https")
    concurrency: Annotated[int, Meta(ge=1, le=10_000)] = 300
    """Requests under way at once in a process."""
    connect_timeout_ms: Annotated[int, Meta(ge=1, le=600_000)] = 5_000
    """How long a name may take to be resolved, and a connection to be made."""
    read_timeout_ms: Annotated[int, Meta(ge=1, le=2_592_000_000)] = 30_000
    """How long nothing may come of an answer. The deadline of the whole is the topic's or the message's ``deadline_ms``."""
    response_bytes: Annotated[int, Meta(ge=0, le=2**20)] = 65_536
    """How much of the body of an answer is kept with its attempt."""
    current_signing_key: Annotated[str, Meta(pattern=_SIGNING_KEY)] | None = None
    """Signs every request. None here: made once, and kept in Redis."""
    next_signing_key: Annotated[str, Meta(pattern=_SIGNING_KEY)] | None = None
    """The one that follows at the next rotation."""
    log_entries: Annotated[int, Meta(ge=0, le=10_000_000)] = 10_000
    """What happened to webhook messages that is kept, about, in each partition; 0 keeps none."""


WEBHOOK = TopicSettings(name="webhook", handler="consumers.webhooks")
"""The built-in topic: sends the message to a URL."""
ECHO = TopicSettings(name="echo", handler="consumers.handlers.echo")
"""The built-in topic: writes the message to the log and to standard output at its time."""


Durability = Literal["memory", "fsync", "replica"]
"""How safe a write is before its caller is told: Redis has it, it is on Redis's disk, replicas have it."""


class Settings(Section, frozen=True):
    redis: RedisSettings = RedisSettings()
    producer: ProducerSettings = ProducerSettings()
    dispatcher: DispatcherSettings = DispatcherSettings()
    consumers: ConsumersSettings = ConsumersSettings()
    retry: RetrySettings = RetrySettings()
    retention: RetentionSettings = RetentionSettings()
    logging: LoggingSettings = LoggingSettings()
    auth: AuthSettings = AuthSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    topics: tuple[TopicSettings, ...] = ()
    durability: Durability = "memory"
    """How safe a write is before it is answered, where a request does not say: ``memory``, ``fsync`` or ``replica``."""
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Slices of the key space; may be raised, never lowered."""

    def all_topics(self) -> dict[str, TopicSettings]:
        """Every topic by name, the built-in ones first."""
        return {topic.name: topic for topic in (ECHO, WEBHOOK, *self.topics)}

    def priorities(self) -> dict[str, Priority]:
        """Of the topics whose messages have another than the usual one."""
        return {name: topic.priority for name, topic in self.all_topics().items() if topic.priority != "normal"}

    def kept_topics(self) -> frozenset[str]:
        """Those that the log tells of."""
        return frozenset({WEBHOOK.name} if self.webhooks.log_entries else ())

    def run_topics(self) -> dict[str, TopicSettings]:
        """Those whose handlers a worker of these settings runs."""
        named, every = self.consumers.topics, self.all_topics()
        return {name: every[name] for name in named} if named else every


SECTIONS: dict[str, type[Section] | None] = {
    field.encode_name: field.type if isinstance(field.type, type) and issubclass(field.type, Section) else None
    for field in msgspec.structs.fields(Settings)
}
"""What the file may name at its top: sections, and ``None`` for what is a value itself."""
