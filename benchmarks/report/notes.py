"""Why a goal was missed: what the profile shows and what was tried. Words, no figures: those are the page's own."""

from __future__ import annotations

_GROWTH = (
    "Each round is compared with one of few pending right after it, so what is left is the size, above all that of the due set, "
    "into which every message goes first. Where in the server that time goes was not looked into."
)
_AT_THOUSAND = (
    "At 1,000 a second a message comes each millisecond through a dispatcher, the server and a worker, which together use three "
    "quarters of two cores where the machine is slow, as the limits of the same run show it to be: they wait for a core. The "
    "longest waits come while the server rewrites its append-only file, which takes a core more; a run without a rewrite has "
    "none of them. Tried and kept: an exact timer, a pass that begins just before its time, a worker that lets go of the "
    "interpreter when a message has come. A shorter switch interval of the interpreter helps nothing here and costs a third of "
    "the drain."
)
WHY_MISSED: dict[str, str] = {
    "messages/s against the best Python peer": (
        "Dramatiq, with one thread, a large prefetch and a single middleware, does far more than it is known for. What bounds "
        "this service is the one interpreter of its worker: its profile is flat, with two fifths in reading entries and making "
        "what a delivery is, a fifth each in settling, in running and in keeping count of slots. Tried and kept: structs "
        "instead of dataclasses, one wake-up for many messages, settlements in bundles, commands packed in C. Tried and left: a "
        "shorter switch interval, with which a third less is drained. Not tried: more than one process."
    ),
    "messages/s against the read-ack-delete limit": (
        "The limit runs nothing, keeps no count and pipelines a hundred on one connection. Between runs the ratio moves on both "
        "sides of the goal; what bounds the worker is told above."
    ),
    "p50 at 1,000/s with 1,000,000 others pending": _AT_THOUSAND,
    "p99 at 1,000/s with 1,000,000 others pending": _AT_THOUSAND,
    "max at 1,000/s with 1,000,000 others pending": _AT_THOUSAND,
    "p50 to p99.9 at 200/s against each peer": (
        "What decides is the percentile that is named: of a few thousand messages, p99.9 is a handful, which came while "
        "something else had the cores. Here a message passes through three processes, and each of them, and the handler's "
        "thread, has to be woken from idleness."
    ),
    "requests/s one at a time against the smallest aiohttp app": (
        "Writing to Redis is shared by all requests that come meanwhile and costs little. What is left are the checks of the "
        "request, five layers of middleware, the message's id, and an answer with two more headers, in the one interpreter: a "
        "flat profile, of which no part is more than a tenth. Tried: uvloop, which helps the smallest application as much."
    ),
    "last of 100,000 against what 0.8 of the drain rate allows": (
        "A drain finds its messages in the stream; of a herd they are moved there meanwhile, on the same two cores, and the "
        "worker reads fewer at a time so that other topics are not late. Tried: batches of 500, which end the herd sooner and "
        "make others nearly twice as late."
    ),
    "p99 of other topics meanwhile": (
        "The worker runs what it has read before it looks again, and two cores are shared with the server and the dispatcher. "
        "Its batches can be set smaller still, and then the herd takes longer."
    ),
    "accepted/s up to 1,000,000 pending against 10,000": _GROWTH,
    "drained/s up to 1,000,000 pending against 10,000": _GROWTH,
    "p50 and p99 up to 1,000,000 pending against 10,000": _GROWTH,
    "accepted/s with 10,000,000 pending against 10,000": _GROWTH,
    "drained/s with 10,000,000 pending against 10,000": _GROWTH,
    "p50 and p99 with 10,000,000 pending against 10,000": _GROWTH,
    "longest script in every case and run": (
        "The server counts the time of day, so a script that loses its core in the middle counts as long: half of the scripts "
        "of each kind take less than two milliseconds. The longest with few pending are those that settle 200 or dispatch 100 "
        "at once. Tried and kept: storing 250 at once instead of 500. Tried and left: settling 100, which costs a tenth of the "
        "drain. What held the server longest at ten million was not looked into."
    ),
}
"""By ``Goal.what``; shown under the goals table while that goal is missed, and only then."""
