r"""The stored form of a message: one line of header, then the body. The format's only reader and writer.

``<id> v2 <created_ms>[ <kind>[ <options>]]\n<body>``, for example::

    echo-0-1a2b3c4d5e6f7g8h9i0jk v2 1790000000000 text {"retry":{"max_attempts":3}}
    hello

* ``kind``: ``json`` and ``text`` are the body's own UTF-8 bytes, readable; ``base64`` stands for any other bytes. Where no
  options follow, ``text`` is left out: a header five bytes shorter is often 16 bytes less of Redis's memory. Format ``v1``,
  which is still read, always names it.
* ``options``: a JSON object of what differs from the topic's defaults (see ``Options``); absent where nothing does.

A record is written once. Scripts move it from key to key and never decode it.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Literal

import msgspec

VERSIONS = {b"v1": 4, b"v2": 3}
"""What can be read, and the least words that a header of it has."""
Kind = Literal["json", "text", "base64"]
Priority = Literal["high", "normal", "low"]
DEFAULT_CONTENT_TYPES: dict[str, str] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "base64": "application/octet-stream",
}

_KINDS: dict[bytes, Kind] = {b"json": "json", b"text": "text", b"base64": "base64"}

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=315_360_000_000)]


class RetryOptions(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a message asks for instead of its topic's retry policy; an absent field follows the topic."""

    max_attempts: (
        Annotated[int, msgspec.Meta(ge=1, le=1000, description="Attempts in all, the first included.", examples=[5])] | None
    ) = None
    initial_ms: (
        Annotated[int, msgspec.Meta(ge=0, le=86_400_000, description="Wait after the first failure.", examples=[1000])] | None
    ) = None
    max_ms: Annotated[int, msgspec.Meta(ge=0, le=604_800_000, description="Longest wait.", examples=[300_000])] | None = None
    factor: (
        Annotated[float, msgspec.Meta(ge=1, le=100, description="Each wait is this times the one before.", examples=[2])] | None
    ) = None
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1, description="Share by which a wait varies.", examples=[0.2])] | None = None
    delays_ms: (
        Annotated[
            tuple[Annotated[int, msgspec.Meta(ge=0, le=604_800_000)], ...],
            msgspec.Meta(
                max_length=100,
                description="The waits themselves, instead of initial_ms, max_ms and factor; the last holds for all after it.",
                examples=[[1000, 10_000, 60_000]],
            ),
        ]
        | None
    ) = None


class Callback(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where to tell what became of a message: a message of topic ``webhook`` itself, with its own policy."""

    url: str
    method: str = "POST"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    retry: RetryOptions | None = None
    delay_ms: int = 0
    deadline_ms: int | None = None


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """The request that delivers a message of topic ``webhook``; its body and headers are the message's own."""

    url: str = ""
    """Empty where ``group`` is to be asked for its URLs at the time of the delivery."""
    method: str = "POST"
    callback: Callback | None = None
    """Told the outcome of each attempt."""
    failure_callback: Callback | None = None
    """Told that the message became a dead letter."""
    group: str | None = None
    """The URL group that it was or is to be sent to."""
    endpoint: str | None = None
    """The name in its group of the endpoint that ``url`` is."""
    queue: str | None = None
    retry_delay: str | None = None
    """The expression that ``retry.delays_ms`` was reckoned from."""
    caller_ip: str | None = None
    redact: tuple[str, ...] = ()
    """What is not told in logs: ``body``, ``header``, ``header[name]``."""
    callback_of: str | None = None
    """The id of the message of which this one tells."""


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything a message may carry besides its body. An absent field costs no byte."""

    priority: Priority | None = None
    """Its level. Scripts look for it in this place, first of all (``lua/include/lanes.lua``)."""
    flow_key: str | None = None
    """The same. No ``"``, ``\\`` or space is in it."""
    ordered: bool = False
    """Whether it keeps the place of its flow key until it is over, through retries: the others of the key come after it."""
    retry: RetryOptions | None = None
    deadline_ms: int | None = None
    expires_ms: int | None = None
    """Milliseconds since the epoch past which the message is not delivered any more."""
    retention_ms: int | None = None
    labels: tuple[str, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    content_type: str | None = None
    schedule: str | None = None
    """Id of the recurring schedule that made the message."""
    occurrence_ms: int | None = None
    """Which of its occurrences it is."""
    trace: str | None = None
    """W3C trace context (``traceparent``) of the request that made the message."""
    webhook: Webhook | None = None
    """Only of topic ``webhook``, and always there."""


NO_OPTIONS = Options()


class Record(msgspec.Struct, frozen=True):
    id: str
    created_ms: int
    kind: Kind
    body: bytes
    """The body's own bytes, whatever the kind."""
    options: Options = NO_OPTIONS

    @property
    def content_type(self) -> str:
        return self.options.content_type or DEFAULT_CONTENT_TYPES[self.kind]


class UnreadableRecord(ValueError):
    """The stored bytes are no record."""


class NewerRecord(ValueError):
    """The record has a format this program does not know yet: another process runs a newer release."""


_encode_options = msgspec.json.Encoder().encode
_decode_options = msgspec.json.Decoder(Options).decode


def encode_record(record: Record) -> bytes:
    options = b"{}" if record.options is NO_OPTIONS else _encode_options(record.options)
    body = base64.b64encode(record.body) if record.kind == "base64" else record.body
    header = f"{record.id} v2 {record.created_ms}".encode()
    if options != b"{}":
        return b"%b %b %b\n%b" % (header, record.kind.encode(), options, body)
    return b"%b\n%b" % (header, body) if record.kind == "text" else b"%b %b\n%b" % (header, record.kind.encode(), body)


_FLOW_KEY = re.compile(rb'\S+ v2 \d+ \S+ \{(?:"priority":"[a-z]+",)?"flow_key":"([^"]+)"')


def flow_key_of(stored: bytes) -> str | None:
    """The flow key of a record that need not be readable otherwise, as scripts find it (``lua/include/lanes.lua``)."""
    found = _FLOW_KEY.match(stored)
    return found[1].decode("utf-8", "replace") if found else None


def decode_record(stored: bytes) -> Record:
    """The record of those bytes. Raises ``UnreadableRecord`` or ``NewerRecord``."""
    header, newline, body = stored.partition(b"\n")
    parts = header.split(b" ", 4)
    if newline and len(parts) >= 2 and parts[1] not in VERSIONS and parts[1][:1] == b"v" and parts[1][1:].isdigit():
        raise NewerRecord(f"format {parts[1].decode()}")
    if not newline or len(parts) < 2 or len(parts) < VERSIONS.get(parts[1], 9):
        raise UnreadableRecord(f"not a record: {stored[:80]!r}")
    try:
        options = _decode_options(parts[4]) if len(parts) == 5 else NO_OPTIONS
        kind = _KINDS[parts[3]] if len(parts) > 3 else "text"
        if kind == "base64":
            body = base64.b64decode(body, validate=True)
        return Record(parts[0].decode(), int(parts[2]), kind, body, options)
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise UnreadableRecord(f"not a record: {error}") from error
