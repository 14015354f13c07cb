"""The sections of the page: what each benchmark does, which cases share a table, what its rows are sorted by, its pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.report import names

PICTURES = {
    "drain.png": "Messages per second, one worker process",
    "lateness-peers.png": "Lateness at 200 per second, all subjects",
    "lateness-ours.png": "Lateness of this service by rate and by how many others are pending",
    "memory.png": "Bytes of Redis per pending message",
    "growth.png": "Rates and lateness by how many are pending, relative to 10,000",
}
"""File name, in ``docs/benchmarks/``, to what it shows."""


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark of the page."""

    benchmark: str
    title: str
    does: str
    best: str
    """The figure by which rows are sorted, best first."""
    beside: dict[str, str] = field(default_factory=dict)
    """A case of this service to the case of the others in whose table it stands; its row says which it is."""
    turned: str = ""
    """A figure whose cases are columns of one table instead of a table each."""
    pictures: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "B1",
        "Drain",
        "No-op messages with 100-byte bodies, all due now, are run by one worker process; the rate is that from the first start "
        "to the last. CPU is that of all processes of the subject and of Redis, for each message from its dispatch to its end.",
        "messages_per_s",
        beside={names.DRAIN_IN_USE: names.DRAIN},
        pictures=("drain.png",),
    ),
    Section(
        "B2",
        "Lateness",
        "Messages are scheduled ahead and fall due evenly, some hundreds or thousands a second, while others wait for a later "
        "time. Lateness is the start of the handler after the due time, for every message; an earliest below 0 was early.",
        "p99_ms",
        pictures=("lateness-peers.png", "lateness-ours.png"),
    ),
    Section(
        "B3",
        "Herd",
        "100,000 messages of one topic fall due in the same millisecond. The last says when the herd was over; the others are "
        "messages of other topics that fall due meanwhile.",
        "last_ms",
    ),
    Section(
        "B4",
        "Accept",
        "Requests come one at a time over 64 keep-alive connections, then as batches of 1,000 messages. The load comes from "
        "another process; a message is accepted when the answer says so.",
        "requests_per_s",
    ),
    Section(
        "B5",
        "Memory",
        "Messages wait for a time far ahead, and what Redis uses more than empty is divided by their number. The memory of the "
        "processes is what is resident with that many pending.",
        "bytes_per_message",
        turned="bytes_per_message",
        pictures=("memory.png",),
    ),
    Section(
        "B6",
        "Growth",
        "Accepting, draining and lateness at 1,000/s again, with more and more messages pending. Each round with many is "
        "followed by one with few, on a server of its own, and compared with that alone: a shared machine changes in the minutes "
        "that filling takes. The longest script is the longest time that any script of the service held Redis.",
        "accept_per_s",
        pictures=("growth.png",),
    ),
    Section(
        "B7",
        "Recovery",
        "A worker is killed (SIGKILL) while it holds 100 messages. Measured is the time until another worker had run all of "
        "them, or how many it had run within the time allowed.",
        "seconds",
        beside={"lease 5 s": "set to 5 s", "lease 10 s": "defaults"},
    ),
    Section(
        "B8",
        "Handlers that compute",
        "200 messages a second of a topic whose handler does next to nothing, beside 20 a second of one whose handler computes "
        "for 20 ms in Python. Shown is how late those of the first start: without the second, in one worker process with it, and "
        "in a process of their own (Consumers.Topics).",
        "p99_ms",
    ),
    Section(
        "B9",
        "Webhooks",
        "One worker process sends webhooks with 100-byte bodies to a receiver that answers after 100 ms: all due now, then 500 a "
        "second to 100 hosts, then with one of these taking requests and never answering. Lateness is from the due time to the "
        "arrival at the receiver, of those to the hosts that answer. The limit is a program that does nothing but send, with as "
        "many requests under way (Webhooks.Concurrency).",
        "messages_per_s",
    ),
)
