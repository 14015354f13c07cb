"""retry_delays.py."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from shared.retry_delays import LONGEST_MS, default_delays_ms, delays_ms


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1000", (1000, 1000, 1000)),
        ("1000 * (1 + retried)", (1000, 2000, 3000)),
        ("pow(2, retried)", (1, 2, 4)),
        ("max(10, pow(2, retried))", (10, 10, 10)),
        ("min(1e3 * retried, 1500)", (0, 1000, 1500)),
        ("round(sqrt(2) * 1000) + floor(1.9) - ceil(.1)", (1414, 1414, 1414)),
        ("-5 + abs(-retried) * --2", (0, 0, 0)),
        ("10 % 4 + 8 / 2 / 2 - 1 - 1", (2, 2, 2)),
        ("exp(retried)", (1, 3, 7)),
        ("pow(9, pow(9, 9))", (LONGEST_MS,) * 3),
        ("  ( ( retried ) )  ", (0, 1, 2)),
        ("1e300 * 1e300", (LONGEST_MS,) * 3),
    ],
)
def test_an_expression_gives_the_wait_before_each_retry(expression: str, expected: tuple[int, ...]) -> None:
    """Those of QStash's documentation, precedence, signs, and values that are cut to what a wait may be."""
    assert delays_ms(expression, 3) == expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "character 1"),
        ("1 +", "character 4"),
        ("1 2", "an operator or the end at character 2"),
        ("foo(1)", "character 1"),
        ("pow(2)", "2 values of pow"),
        ("pow(1, 2, 3)", "closing parenthesis"),
        ("sqrt 4", "a parenthesis"),
        ("(1", "closing"),
        ("1)", "an operator"),
        ("retried.real", "a number, retried"),
        ("__import__('os')", "character 1"),
        ("1 ** 2", "character 4"),
        ("1 / 0", "has a value"),
        ("sqrt(0 - 1)", "has a value"),
        ("1e999 - 1e999", "no value"),
        ("(" * 60 + "1" + ")" * 60, "levels"),
        ("1+" * 300 + "1", "at most 500"),
        ("lambda: 1", "character 1"),
        ("1 $ 2", "a number, retried"),
        ("10 % retried", "value"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(expression: str, said: str) -> None:
    """Nothing of it is run as code; it is named where it goes wrong."""
    with pytest.raises(ValueError, match=r"character|value|levels|at most") as refused:
        delays_ms(expression, 3)
    assert said in str(refused.value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {"pow": math.pow, "abs": abs, "min": min, "max": max, "floor": math.floor}
_expressions = some.recursive(
    some.one_of(some.integers(0, 1000).map(str), some.just("retried"), some.floats(0, 100).map("{:.3f}".format)),
    lambda inner: some.one_of(
        some.tuples(inner, some.sampled_from("+-*"), inner).map(lambda found: f"({found[0]} {found[1]} {found[2]})"),
        inner.map("abs({})".format),
        some.tuples(some.sampled_from(["min", "max"]), inner, inner).map(lambda found: f"{found[0]}({found[1]}, {found[2]})"),
        inner.map("-{}".format),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(_expressions)
def test_it_reckons_as_pythons_own_grammar_does(expression: str) -> None:
    """Another reading of the same text, by Python's parser, gives the same."""
    tree = compile(ast.parse(expression, mode="eval"), "", "eval")
    expected = []
    for retried in range(3):
        value = eval(tree, {"__builtins__": {}}, {**_FUNCTIONS, "retried": float(retried)})  # noqa: S307 - made by this test
        expected.append(round(min(max(float(value), 0), LONGEST_MS)))

    assert delays_ms(expression, 3) == tuple(expected)


def test_without_an_expression_the_waits_are_those_that_qstash_documents() -> None:
    """12 s, 2 m 28 s, 30 m 8 s, 6 h 7 m 6 s, then a day: their table."""
    assert [round(one / 1000) for one in default_delays_ms(6)] == [12, 148, 1808, 22026, 86400, 86400]
    assert (len(default_delays_ms(0)), len(default_delays_ms(500)), len(delays_ms("1", 0))) == (1, 100, 1)
