"""QStash's expressions for the time before a retry (https://upstash.com/docs/qstash/features/retry): parsed, never run as code.

    expression = term { ("+" | "-") term }        term = factor { ("*" | "/" | "%") factor }
    factor = { "-" | "+" } atom                   atom = number | "retried" | name "(" expression { "," expression } ")"
                                                         | "(" expression ")"

``retried`` is 0 before the first retry. The result is a number of milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NoReturn

LONGEST, DEEPEST = 500, 50
"""Characters of an expression, and levels of its parentheses."""
LONGEST_MS = 604_800_000
"""A longer time is cut to a week."""
DAY_MS = 86_400_000
MOST = 100
"""Retries for which a time is reckoned; the last holds for all after it."""
FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    "pow": (math.pow, 2, 2), "sqrt": (math.sqrt, 1, 1), "abs": (abs, 1, 1), "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1), "ceil": (math.ceil, 1, 1), "round": (round, 1, 1), "min": (min, 1, 20), "max": (max, 1, 20),
}  # fmt: skip
"""With the fewest and the most arguments that each takes."""
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/%(),]))")


def delays_ms(expression: str, retries: int) -> tuple[int, ...]:
    """The wait before each of so many retries. Raises ``ValueError`` with the place and what was expected there."""
    if len(expression) > LONGEST:
        raise ValueError(f"expected an expression of at most {LONGEST} characters")
    return tuple(_clamped(_Parser(expression, retried).value()) for retried in range(min(max(retries, 1), MOST)))


def default_delays_ms(retries: int) -> tuple[int, ...]:
    """QStash's own backoff: e to the power of 2.5 for each retry, in seconds, at most a day."""
    return tuple(round(min(DAY_MS, 1000 * math.exp(2.5 * number))) for number in range(1, min(max(retries, 1), MOST) + 1))


def _clamped(value: float) -> int:
    if math.isnan(value):
        raise ValueError("the expression has no value for every retry")
    return round(min(max(value, 0), LONGEST_MS))


class _Parser:
    """Reads and reckons in one go, for one value of ``retried``."""

    def __init__(self, text: str, retried: int) -> None:
        self._text, self._retried = text, retried
        self._at, self._depth = 0, 0
        self._next()

    def value(self) -> float:
        found = self._sum()
        if self._kind:
            self._refuse("an operator or the end")
        return found

    def _next(self) -> None:
        self._start = self._at
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            if self._text[self._at :].strip():
                self._refuse("a number, retried, a function or an operator")
            self._kind = self._word = ""
            return
        self._kind, self._at = match.lastgroup or "", match.end()
        self._word = match[self._kind]

    def _refuse(self, expected: str) -> NoReturn:
        raise ValueError(f"expected {expected} at character {self._start + 1}")

    def _sum(self) -> float:
        value = self._product()
        while self._word in {"+", "-"}:
            sign = self._word
            self._next()
            other = self._product()
            value = value + other if sign == "+" else value - other
        return value

    def _product(self) -> float:
        value = self._factor()
        while self._word in {"*", "/", "%"}:
            sign = self._word
            self._next()
            value = _reckoned(self._refuse, _OPERATIONS[sign], value, self._factor())
        return value

    def _factor(self) -> float:
        sign = 1.0
        while self._word in {"-", "+"}:
            sign = -sign if self._word == "-" else sign
            self._next()
        return sign * self._atom()

    def _atom(self) -> float:
        kind, word = self._kind, self._word
        if kind == "number":
            self._next()
            return float(word)
        if word == "retried":
            self._next()
            return float(self._retried)
        if word in FUNCTIONS:
            return self._call(word)
        if word != "(":
            self._refuse(f"a number, retried, a parenthesis or one of {', '.join(FUNCTIONS)}")
        return self._group()[0]

    def _call(self, name: str) -> float:
        function, fewest, most = FUNCTIONS[name]
        self._next()
        if self._word != "(":
            self._refuse("a parenthesis")
        values = self._group(most)
        if len(values) < fewest:
            self._refuse(f"{fewest} values of {name} before")
        return _reckoned(self._refuse, function, *values)

    def _group(self, most: int = 1) -> list[float]:
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(f"at most {DEEPEST} levels")
        self._next()
        values = [self._sum()]
        while self._word == "," and len(values) < most:
            self._next()
            values.append(self._sum())
        if self._word != ")":
            self._refuse("a closing parenthesis")
        self._depth -= 1
        self._next()
        return values


def _reckoned(refuse: Callable[[str], NoReturn], function: Callable[..., float], *values: float) -> float:
    try:
        return float(function(*values))
    except OverflowError:
        return math.inf if function in {math.pow, math.exp} else math.nan
    except (ValueError, ZeroDivisionError):
        refuse("something that has a value before")


_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other,
    "%": math.fmod,
}
