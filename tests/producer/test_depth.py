"""How deep a JSON text is nested."""

from __future__ import annotations

import json
import random

import pytest

from consumers.message import Message
from producer.depth import MAX_DEPTH, is_too_deep


def nested(depth: int, middle: str = "1", opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + middle + closing * depth).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]"), ('["\\"[",{"\\\\":', "}]")])
def test_exactly_as_many_levels_as_allowed(opening: str, closing: str) -> None:
    """One more is too deep, in arrays, in objects and in both, whatever the strings between them hold."""
    levels = closing.count("}") + closing.count("]")

    assert not is_too_deep(nested(MAX_DEPTH // levels, "1", opening, closing))
    assert is_too_deep(nested(MAX_DEPTH // levels, "[1]", opening, closing))


@pytest.mark.parametrize("text", ["[" * 1000, '\\"' * 500 + "[" * 500, "\\\\", '"' * 500, "{" * 200 + "\\", "\n[" * 300])
def test_brackets_in_strings_are_no_levels(text: str) -> None:
    """Quotes and backslashes in strings included."""
    assert not is_too_deep(json.dumps([text, {text: text}]).encode())
    assert is_too_deep(json.dumps([text]).encode().join([b"[" * MAX_DEPTH, b"]" * MAX_DEPTH]))


def test_many_are_not_deep() -> None:
    """Width is no depth: a hundred thousand objects in a list are two levels."""
    assert not is_too_deep(json.dumps([{"a": []}] * 100_000).encode())


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_walk_through_the_value(seed: int) -> None:
    """Random values of all kinds, about as deep as allowed."""
    chance = random.Random(seed)  # noqa: S311 - repeatable

    def value(depth: int) -> object:
        texts = ["", "[", "}", '"', "\\", '\\"[', "ä\u2028"]
        if depth == 0:
            return chance.choice([1, None, *texts])
        beside = [value(0) for _ in range(chance.randrange(3))]
        inside = [*beside, value(depth - 1)]
        return inside if chance.random() < 0.5 else {f"{chance.choice(texts)}{number}": one for number, one in enumerate(inside)}

    for depth in (MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1):
        text = json.dumps(value(depth), ensure_ascii=chance.random() < 0.5).encode()
        assert is_too_deep(text) is (depth > MAX_DEPTH)


def test_what_is_accepted_can_be_read_by_a_handler() -> None:
    """The deepest body that is accepted is far from where decoding breaks."""
    message = Message("i", "t", nested(MAX_DEPTH), "application/json", 1, 0, 0, 0, {}, (), None)

    found = message.json()
    for _ in range(MAX_DEPTH):
        (found,) = found
    assert found == 1
