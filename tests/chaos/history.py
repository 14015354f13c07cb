"""The history of a run: what was asked and answered, what handlers did, what was broken, what was left. JSON lines.

It says nothing of how the service works inside. All times are microseconds since the epoch by the true clock of the machine,
which is Redis's clock too; the harness may lie to the service's processes about the time, never to the history.

A message is known by its ``ref``, which its caller made up and its body carries: so a run of a message is told from others
also where the call that made it was never answered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

Operation = Literal["schedule", "cancel", "change", "deliver_now", "replay"]
Reached = Literal["memory", "fsync", "replica"]
Ending = Literal["returned", "failed", "dead"]
State = Literal["scheduled", "ready", "running", "retrying", "waiting", "delivered", "dead", "cancelled", "expired", "unknown"]
Effect = Literal["died", "frozen", "cut", "stepped", "store_refused", "store_died", "failed_over", "group_destroyed", "none"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Something that happened at ``at_us``."""

    at_us: int


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a message's body told its handler to do, attempt by attempt; the default returns at once."""

    sleep_ms: int = 0
    """How long each run takes."""
    fail_attempts: int = 0
    """Attempts up to this one raise."""
    hang_attempts: int = 0
    """Attempts up to this one run past the handler's deadline."""
    kill_runs: int = 0
    """So many runs, the first ones, end their worker's process."""
    dead: bool = False
    """The first run asks for the dead letters."""


class Call(Event, frozen=True, tag="call"):
    """One HTTP call. ``at_us``: just before it was sent."""

    until_us: int
    """When its answer had come, or it was given up."""
    operation: Operation
    refs: tuple[str, ...]
    """The messages it was about; a batch has many."""
    status: int
    """0: no answer."""
    ids: tuple[str, ...] = ()
    """As the answer named them, in the order of ``refs``; empty where it named none."""
    earliest_us: tuple[int, ...] = ()
    """For ``schedule``, ``change`` (of the time) and ``replay``: the due time each message was asked to have, in the order of
    ``refs``, never before ``at_us``; a delay counts from ``at_us``."""
    order: Order = Order()
    """For ``schedule``: what every handler of these messages was told."""
    expires_us: int = 0
    """For ``schedule``: 0 where the messages never expire."""
    reached: Reached = "memory"
    """How safe the answer said the write was."""


class Start(Event, frozen=True, tag="start"):
    """A handler began."""

    run: str
    """Unique."""
    ref: str
    id: str
    attempt: int
    worker: str
    """The name of the process, never used twice."""


class End(Event, frozen=True, tag="end"):
    """A handler ended by itself."""

    run: str
    ending: Ending


class Fault(Event, frozen=True, tag="fault"):
    """Something was broken from ``at_us`` until ``until_us`` (as long as the harness kept it broken)."""

    until_us: int
    kind: str
    """Its name in the table of faults."""
    effect: Effect
    """What it means for whoever judges."""
    targets: tuple[str, ...] = ()
    """Processes that it hit; empty: all of them (a fault of the store)."""
    recovered_us: int = 0
    """When the whole service was seen to be ready again; 0: not looked at."""


class Final(Event, frozen=True, tag="final"):
    """Where the API says that a message is, after the last fault was mended and all had time to settle."""

    ref: str
    id: str
    state: State
    attempts: int = 0


class Leftover(Event, frozen=True, tag="leftover"):
    """A key that is still there at the very end and should not be."""

    key: str
    content: str = ""


AnyEvent = Call | Start | End | Fault | Final | Leftover


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the service of this run was told, as far as a judge has to know."""

    durability: Reached
    appendfsync: Literal["always", "everysec"]
    max_attempts: int
    retry_us: tuple[int, ...]
    """The shortest time between the failed attempt n and the next, from n = 1; the last counts for all after it."""
    deadline_us: int
    """How long a handler may run."""
    lease_us: int
    """How long a worker that says nothing keeps what it holds."""
    flow_concurrency: int = 0
    """How many messages of a flow key may run at once; 0: not judged."""


class History(msgspec.Struct, frozen=True):
    """Everything that is known of a run, in the order of time."""

    rules: Rules
    events: tuple[AnyEvent, ...]


def ref_of(schedule: str, occurrence_ms: int) -> str:
    """The ref of a message that a recurring schedule made."""
    return f"{schedule}@{occurrence_ms}"


def append(file: Path, event: AnyEvent) -> None:
    """Adds one line. Safe for many processes, each of which may be killed in the middle: that spoils its own line only."""
    line = b"\n" + msgspec.json.encode(event) + b"\n"
    descriptor = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read(files: Iterable[Path]) -> list[AnyEvent]:
    """All whole lines of the files, in the order of time. A line that is whole and means nothing raises."""
    decoder, events = msgspec.json.Decoder(AnyEvent), list[AnyEvent]()
    for file in files:
        for line in file.read_bytes().splitlines():
            try:
                events.append(decoder.decode(line))
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:  # empty, or its writer was killed in the middle of it
                continue
    return sorted(events, key=lambda event: event.at_us)
