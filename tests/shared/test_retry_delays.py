"""retry_delays.py."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as some

from shared.retry_delays import LONGEST_MS, _Parser, default_delays_ms, delays_ms


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
        ("1e999", (LONGEST_MS,) * 3),
        ("exp(710)", (LONGEST_MS,) * 3),
        ("pow(0 - 9, 99999)", (0, 0, 0)),
        ("pow(0 - 9, 99998)", (LONGEST_MS,) * 3),
        ("floor(exp(9999)) + ceil(9e307 * 9) + round(1e999)", (LONGEST_MS,) * 3),
        ("min(floor(exp(9999)), 5)", (5, 5, 5)),
        ("min(retried) + max(5) + max(1, 2, 9, 3)", (14, 15, 16)),
        ("floor(9e307) * floor(9e307) * floor(9e307) / 7", (LONGEST_MS,) * 3),
        ("round(retried / 2) * 1000", (0, 1000, 1000)),
        ("round(2.5) + round(0 - 2.5) + 2.5", (3, 3, 3)),
        ("1 + 2 * 3 - 4 / 2 % 3", (5, 5, 5)),
        ("10 - - - 2 + + 1", (9, 9, 9)),
        ("100 + -7 % 4", (97, 97, 97)),
        ("100 - 10 - 1 * 100 / 10 / 5", (88, 88, 88)),
        ("\t1\n+\r\n.5e1", (6, 6, 6)),
        ("604800000.4", (LONGEST_MS,) * 3),
        ("(" * 50 + "7" + ")" * 50, (7, 7, 7)),
    ],
)
def test_an_expression_gives_the_wait_before_each_retry(expression: str, expected: tuple[int, ...]) -> None:
    """Those of QStash's documentation, precedence, signs, and values that are cut to what a wait may be."""
    assert delays_ms(expression, 3) == expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "a number, retried, a parenthesis or one of pow, sqrt, abs, exp, floor, ceil, round, min, max at character 1"),
        ("   ", "at character 4"),
        ("1 +", "at character 4"),
        ("1 2", "an operator or the end at character 3"),
        ("2retried", "an operator or the end at character 2"),
        ("1e9999", "an operator or the end at character 6"),
        ("foo(1)", "at character 1"),
        ("  Pow(1, 2)", "at character 3"),
        ("pow", "a parenthesis at character 4"),
        ("pow()", "at character 5"),
        ("pow(2)", "a comma and another value at character 6"),
        ("pow(1, 2, 3)", "a closing parenthesis at character 9"),
        ("min(" + "1," * 20 + "1)", "a closing parenthesis at character 44"),
        ("sqrt 4", "a parenthesis at character 6"),
        ("(1", "a closing parenthesis at character 3"),
        ("(1, 2)", "a closing parenthesis at character 3"),
        ("1)", "an operator or the end at character 2"),
        ("retried(1)", "an operator or the end at character 8"),
        ("retried.real", "a number, retried, a function or an operator at character 8"),
        ("__import__('os')", "at character 1"),
        ("1 ** 2", "at character 4"),
        ("2 ^ 3", "a number, retried, a function or an operator at character 3"),
        ("7 // 2", "at character 4"),
        ("1 / 0", "what has a result at character 3"),
        ("1e999 - 1e999", "what has a result at character 7"),
        ("max(5, 0 * 1e999)", "what has a result at character 10"),
        ("1000 + sqrt(0 - retried)", "what has a result at character 8: there is none where retried is 1"),
        ("10 % retried", "what has a result at character 4: there is none where retried is 0"),
        ("pow(0, -1)", "what has a result at character 1"),
        ("pow(-8, .5)", "what has a result at character 1"),
        ("1e999 % 3", "what has a result at character 7"),
        ("(" * 60 + "1" + ")" * 60, "at most 50 levels at character 51"),
        ("1+" * 300 + "1", "the end, after at most 500 characters, at character 501"),
        ("lambda: 1", "at character 1"),
        ("1 $ 2", "a number, retried, a function or an operator at character 3"),
        ("\u0663", "a number, retried, a function or an operator at character 1"),
        ("1\u00a0+ 1", "at character 2"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(expression: str, said: str) -> None:
    """Nothing of it is run as code; it is named where it goes wrong, and for which retry where it goes wrong for one alone."""
    with pytest.raises(ValueError) as refused:
        delays_ms(expression, 3)
    assert str(refused.value).startswith("expected ")
    assert said in str(refused.value)


def _reckon(expression: ast.expr, retried: float) -> float:
    """Another reckoner, over the tree of Python's own parser."""
    match expression:
        case ast.Constant(value=(int() | float()) as value):
            return float(value)
        case ast.Name(id="retried"):
            return retried
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_reckon(operand, retried)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_reckon(left, retried), _reckon(right, retried))
        case ast.Call(func=ast.Name(id=name), args=args):
            return float(_FUNCTIONS[name](*(_reckon(arg, retried) for arg in args)))
    raise AssertionError(ast.dump(expression))


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda one, other: one + other,
    ast.Sub: lambda one, other: one - other,
    ast.Mult: lambda one, other: one * other,
    ast.Div: lambda one, other: one / other,
    ast.Mod: lambda one, other: math.copysign(abs(one) % abs(other), one),
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "pow": math.pow, "sqrt": math.sqrt, "abs": abs, "exp": math.exp, "floor": math.floor, "ceil": math.ceil,
    "round": lambda value: math.copysign(math.floor(abs(value) + 0.5), value), "min": min, "max": max,
}  # fmt: skip
_leaves = some.one_of(some.integers(0, 1000).map(str), some.just("retried"), some.integers(0, 800).map(lambda one: str(one / 8)))


def _larger(inner: some.SearchStrategy[str]) -> some.SearchStrategy[str]:
    pair = some.tuples(inner, inner)
    return some.one_of(
        some.tuples(inner, some.sampled_from("+-*/%"), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        some.tuples(some.sampled_from(["sqrt", "abs", "exp", "floor", "ceil", "round"]), inner).map(
            lambda one: f"{one[0]}({one[1]})"
        ),
        some.tuples(some.sampled_from(["pow", "min", "max"]), pair).map(lambda one: f"{one[0]}({', '.join(one[1])})"),
    )


@settings(deadline=None, max_examples=300)
@given(some.recursive(_leaves, _larger, max_leaves=8))
def test_it_reckons_as_another_reader_of_the_same_text_does(expression: str) -> None:
    """Precedence, order, signs and functions are those of Python's grammar; what has no result there is refused here."""
    tree = ast.parse(expression, mode="eval").body
    try:
        values = [_reckon(tree, float(retried)) for retried in range(3)]
    except OverflowError:
        reject()  # where Python has no number, there is infinity here: named above
    except (ValueError, ZeroDivisionError):
        values = [math.nan]
    if any(map(math.isnan, values)):
        with pytest.raises(ValueError, match="expected what has a result at character"):
            delays_ms(expression, 3)
        return

    found = delays_ms(expression, 3)

    for one, value in zip(found, values, strict=True):
        assert abs(one - min(max(value, 0), LONGEST_MS)) <= 0.5


@settings(deadline=None, max_examples=300)
@given(
    some.lists(some.sampled_from([*"0123456789.e+-*/%(), ^\n\u0663", "retried", "pow(", "min(", "exp(", "1e999"])).map("".join)
)
def test_any_text_gives_waits_or_is_refused_with_a_place_in_it(text: str) -> None:
    """No other error comes of it, whatever it is."""
    try:
        found = delays_ms(text, 5)
    except ValueError as error:
        place = re.search(r"^expected .+ at character (\d+)", str(error))
        assert place is not None
        assert 1 <= int(place[1]) <= len(text) + 1
    else:
        assert len(found) == 5
        assert all(type(one) is int and 0 <= one <= LONGEST_MS for one in found)


def test_it_is_read_once_however_many_retries_there_are() -> None:
    """The producer's loop serves others: the longest expression with the most retries costs few steps of the reader."""
    with patch.object(_Parser, "_next", autospec=True, side_effect=_Parser._next) as steps:
        found = delays_ms("1+" * 249 + "1", 999)

    assert found == (250,) * 100
    assert steps.call_count == 500


def test_without_an_expression_the_waits_are_those_that_qstash_documents() -> None:
    """12 s, 2 m 28 s, 30 m 8 s, 6 h 7 m 6 s, then a day: their table."""
    assert [round(one / 1000) for one in default_delays_ms(6)] == [12, 148, 1808, 22026, 86400, 86400]
    assert (len(default_delays_ms(0)), len(default_delays_ms(500)), len(delays_ms("1", 0))) == (1, 100, 1)
