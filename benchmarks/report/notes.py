"""Why a goal was missed: what the profile shows and what was tried. Words, no figures: those are the page's own."""

from __future__ import annotations

_GROWTH = (
    "Rates vary between rounds with the same number pending by as much as from step to step: on two cores the server, its "
    "writing of the append-only file, three processes and whoever loads them share the time. One look at what is due costs the "
    "same at each step."
)
WHY_MISSED: dict[str, str] = {
    "messages/s against the best Python peer": (
        "Dramatiq, with one thread, a large prefetch and a single middleware, does far more than it is known for. What bounds "
        "this service is the one interpreter of its worker: its profile is flat, with two fifths in reading entries and making "
        "what a delivery is, a fifth each in settling, in running and in keeping count of slots. Tried and kept: structs instead "
        "of dataclasses, one wake-up for many messages, settlements in bundles, commands packed in C. Not tried: more than one "
        "process."
    ),
    "p50 to p99.9 at 200/s against each peer": (
        "Peers that keep what is due soon in their worker's memory, or ask for it every millisecond, start half of their "
        "messages a little sooner. Here a message passes through three processes, and at 200 a second each of them, and the "
        "handler's thread, has to be woken from idleness: at 1,000 a second half of the messages are started in half the time."
    ),
    "requests/s one at a time against the smallest aiohttp app": (
        "Writing to Redis is shared by all requests that come meanwhile and costs little. What is left are the checks of the "
        "request, five layers of middleware, the message's id, and an answer with two more headers, in the one interpreter. "
        "Tried: uvloop, which helps the smallest application as much."
    ),
    "last of 100,000 against what 0.8 of the drain rate allows": (
        "A drain finds its messages in the stream; of a herd they are moved there meanwhile, on the same two cores."
    ),
    "accepted/s up to 1,000,000 pending against 10,000": _GROWTH,
    "drained/s up to 1,000,000 pending against 10,000": _GROWTH,
    "p50 and p99 up to 1,000,000 pending against 10,000": _GROWTH,
    "longest script in every case and run": (
        "The server counts the time of day, so a script that loses its core in the middle counts as long. The longest are those "
        "that store 250 messages or settle 200 at once."
    ),
}
"""By ``Goal.what``; shown under the goals table while that goal is missed, and only then."""
