"""Message ids: made once, never changed.

``<topic>-<partition>-<21 digits>``, for example ``echo-0-1a2b3c4d5e6f7g8h9i0jk``. The digits are base 32 (``0-9a-v``,
RFC 4648 "base32hex" in lower case, so text order is number order):

* the first 11 hold ``due_ms * 2048 + tie``: the due time first asked for and 11 random bits. Divided by 2048 it is
  the message's score in its due set, so a message that was never moved is found by its id alone;
* the last 10 hold 50 more random bits. Together with the tie that makes 61.

A double holds 53 bits: 42 for the milliseconds (until the year 2109) and 11 for the tie.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

ALPHABET = "0123456789abcdefghijklmnopqrstuv"
DIGITS = 21
TIE_VALUES = 2048
LATEST_DUE_MS = 2**42 - 1
"""The last due time an id can carry: 2109-05-15."""

TOPIC_PATTERN = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
_ID = re.compile(rf"({TOPIC_PATTERN})-(0|[1-9][0-9]{{0,4}})-([0-9a-v]{{{DIGITS}}})")
_TRIPLES = [a + b + c for a in ALPHABET for b in ALPHABET for c in ALPHABET]


class ParsedId(NamedTuple):
    topic: str
    partition: int
    score: float
    """The score of the due time first asked for: milliseconds and a fraction of 1/2048ths."""


def make_id(topic: str, partition: int, due_ms: int, random_bits: int) -> str:
    """The id of a new message. ``random_bits``: 61 bits or more, of which 61 are used."""
    tie = random_bits >> 50 & (TIE_VALUES - 1)
    number = (due_ms << 11 | tie) << 50 | random_bits & ((1 << 50) - 1)
    digits = "".join(_TRIPLES[number >> shift & 32767] for shift in (90, 75, 60, 45, 30, 15, 0))
    return f"{topic}-{partition}-{digits}"


def random_bits(seed: bytes, position: int) -> int:
    """64 bits for the message at ``position`` of a request: the same for the same seed, so a repeat makes the same ids.

    BLAKE2b (RFC 7693) keyed by the seed: nobody guesses one id from another.
    """
    return int.from_bytes(blake2b(position.to_bytes(4, "big"), digest_size=8, key=seed).digest(), "big")


def parse_id(message_id: str) -> ParsedId | None:
    """The parts of an id, or ``None`` where the text is not one."""
    match = _ID.fullmatch(message_id)
    if match is None:
        return None
    return ParsedId(match[1], int(match[2]), int(match[3][:11], 32) / TIE_VALUES)


def score_for(message_id: str, due_ms: int) -> float:
    """The score of that message at another due time: same tie, so messages of one millisecond keep their order."""
    return due_ms + int(message_id[-DIGITS:-10], 32) % TIE_VALUES / TIE_VALUES


def score_text(score: float) -> str:
    """A score as Redis takes it, exact to the last bit."""
    return f"{score:.17g}"
