"""Ids: made once, unguessable, and enough to find a message by."""

from __future__ import annotations

import secrets

import pytest

from shared.ids import LATEST_DUE_MS, TIE_VALUES, first_score, make_id, parse_id, random_bits, score_for

DUE_MS = 1_906_545_600_123
ALL_BITS = 2**64 - 1


def test_an_id_carries_topic_partition_and_score() -> None:
    """From the id alone a message that was never moved is found."""
    parsed = parse_id(make_id("order-mail.v2", 17, DUE_MS, 0))

    assert parsed is not None
    assert (parsed.topic, parsed.partition, parsed.score) == ("order-mail.v2", 17, DUE_MS)


def test_each_of_61_random_bits_makes_another_id() -> None:
    """At least 60 bits that nobody can guess; what is beyond 61 is not used."""
    plain = make_id("t", 0, DUE_MS, 0)

    others = {make_id("t", 0, DUE_MS, 1 << bit) for bit in range(61)}

    assert len(others | {plain}) == 62
    assert {make_id("t", 0, DUE_MS, 1 << bit) for bit in range(61, 64)} == {plain}


@pytest.mark.parametrize("due_ms", [0, 1, DUE_MS, LATEST_DUE_MS])
@pytest.mark.parametrize("bits", [0, ALL_BITS, 1 << 50, (1 << 50) - 1])
def test_the_score_holds_the_exact_millisecond_and_the_tie(due_ms: int, bits: int) -> None:
    """A double holds both without loss, as number and as text, and the millisecond is its whole part."""
    message_id = make_id("t", 3, due_ms, bits)
    parsed = parse_id(message_id)
    assert parsed is not None

    assert int(parsed.score) == due_ms
    assert parsed.score - due_ms == ((bits >> 50) % TIE_VALUES) / TIE_VALUES
    assert float(first_score(due_ms, bits)) == parsed.score
    assert score_for(message_id, due_ms) == parsed.score


def test_another_due_time_keeps_the_tie() -> None:
    """Messages that move to one millisecond together keep their order."""
    first, second = make_id("t", 0, DUE_MS, 1 << 50), make_id("t", 0, DUE_MS, 2 << 50)

    assert DUE_MS + 5 < score_for(first, DUE_MS + 5) < score_for(second, DUE_MS + 5) < DUE_MS + 6


def test_ids_of_a_topic_sort_by_due_time() -> None:
    """Text order is time order, so ids can be read and ranged over."""
    ids = [make_id("t", 0, due_ms, secrets.randbits(64)) for due_ms in (0, 1, 31, 32, 2**20, DUE_MS - 1, DUE_MS, LATEST_DUE_MS)]

    assert ids == sorted(ids)


def test_members_of_one_score_sort_by_id() -> None:
    """The store finds a member among those of one score by bisection: text order must be number order."""
    bits = [secrets.randbits(50) for _ in range(200)]

    ids = [make_id("t", 0, DUE_MS, one) for one in sorted(bits)]

    assert ids == sorted(ids)


def test_the_same_seed_gives_the_same_ids_and_another_seed_others() -> None:
    """A repeated request makes the same ids again; two requests never share one."""
    first, again, other = (random_bits(seed, 500) for seed in (b"12345678", b"12345678", b"12345679"))

    assert first == again
    assert first[:7] == random_bits(b"12345678", 7), "a message's bits do not depend on how many come behind it"
    assert len({*first, *other}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "", "t", "t-0", "t-0-", "-0-" + "0" * 21, "t-0-" + "0" * 20, "t-0-" + "0" * 22, "t-0-" + "0" * 20 + "w",
        "t-0-" + "A" * 21, "t-00-" + "0" * 21, "t-123456-" + "0" * 21, "1t-0-" + "0" * 21,
        "t t-0-" + "0" * 21, "t-0-" + "0" * 21 + "\n", " t-0-" + "0" * 21, "t" * 65 + "-0-" + "0" * 21, "t-٣-" + "0" * 21,
        "é-0-" + "0" * 21, "t:x-0-" + "0" * 21, "t{0}-0-" + "0" * 21,
    ],
)  # fmt: skip
def test_what_is_no_id_is_refused(text: str) -> None:
    """Nothing that could name another key or partition passes."""
    assert parse_id(text) is None
