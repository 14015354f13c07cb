"""Message ids: made once, never changed.

``<topic>-<partition>-<21 digits>``, for example ``echo-0-1a2b3c4d5e6f7g8h9i0jk``. The digits are base 32 (``0-9a-v``,
RFC 4648 "base32hex" in lower case, so text order is number order):

* the first 11 hold ``due_ms * 2048 + tie``: the due time first asked for and 11 random bits. Divided by 2048 it is
  the message's score in its due set, so a message that was never moved is found by its id alone;
* the last 10 hold 50 more random bits. Together with the tie that makes 61.

Those of an ordered message begin with 32 bits that say when the process accepted it, among others of the same due time; 29 are
random. Who knows such an id and the due time of the next message knows all but those 29 of the next one's.

A double holds 53 bits: 42 for the milliseconds (until the year 2109) and 11 for the tie.
"""

from __future__ import annotations

import re
from hashlib import shake_128
from struct import unpack
from typing import NamedTuple

ALPHABET = "0123456789abcdefghijklmnopqrstuv"
DIGITS = 21
TIE_VALUES = 2048
LATEST_DUE_MS = 2**42 - 1
"""The last due time an id can carry: 2109-05-15."""

TOPIC_PATTERN = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
_ID = re.compile(rf"({TOPIC_PATTERN})-(0|[1-9][0-9]{{0,4}})-([0-9a-v]{{{DIGITS}}})")
_TRIPLES = [a + b + c for a in ALPHABET for b in ALPHABET for c in ALPHABET]
_TIES = [f"{tie / TIE_VALUES:.11f}"[1:] for tie in range(TIE_VALUES)]
"""The fraction of a score, which eleven digits write exactly."""
_BITS_61 = (1 << 61) - 1


class ParsedId(NamedTuple):
    topic: str
    partition: int
    score: float
    """The score of the due time first asked for: milliseconds and a fraction of 1/2048ths."""


def make_id(topic: str, partition: int, due_ms: int, random_bits: int) -> str:
    """The id of a new message. ``random_bits``: 61 bits or more, of which 61 are used."""
    number = due_ms << 61 | random_bits & _BITS_61
    return (
        f"{topic}-{partition}-{_TRIPLES[number >> 90]}{_TRIPLES[number >> 75 & 32767]}{_TRIPLES[number >> 60 & 32767]}"
        f"{_TRIPLES[number >> 45 & 32767]}{_TRIPLES[number >> 30 & 32767]}{_TRIPLES[number >> 15 & 32767]}"
        f"{_TRIPLES[number & 32767]}"
    )


def first_score(due_ms: int, random_bits: int) -> str:
    """The score that ``make_id`` of the same values carries, as Redis takes it: exact to the last bit."""
    return f"{due_ms}{_TIES[random_bits >> 50 & (TIE_VALUES - 1)]}"


def random_bits(seed: bytes, count: int) -> tuple[int, ...]:
    """64 bits for each message of a request: the same for the same seed, however many, so a repeat makes the same ids.

    SHAKE128 (FIPS 202) of the seed: nobody guesses one id from another.
    """
    return unpack(f">{count}Q", shake_128(seed).digest(8 * count))


def ordered_bits(seed: bytes, position: int, bits: int) -> int:
    """61 bits by which the messages of a request come in their order, after those of the requests before it (``store/turns.py``).

    ``bits``: random ones, of which the last 29 are used.
    """
    number = (int.from_bytes(seed[:4], "big") + position) & 0xFFFFFFFF
    return number << 29 | bits & (1 << 29) - 1


def parse_id(message_id: str) -> ParsedId | None:
    """The parts of an id, or ``None`` where the text is not one."""
    match = _ID.fullmatch(message_id)
    if match is None:
        return None
    return ParsedId(match[1], int(match[2]), int(match[3][:11], 32) / TIE_VALUES)


def score_for(message_id: str, due_ms: int) -> float:
    """The score of that message at another due time: same tie, so messages of one millisecond keep their order."""
    return due_ms + int(message_id[-DIGITS:-10], 32) % TIE_VALUES / TIE_VALUES
