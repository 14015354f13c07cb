"""QStash's expressions for the time before a retry (https://upstash.com/docs/qstash/features/retry): parsed, never run as code.

    expression = term { ("+" | "-") term }        term = factor { ("*" | "/" | "%") factor }
    factor = { "-" | "+" } atom                   atom = number | "retried" | name "(" expression { "," expression } ")"
                                                         | "(" expression ")"

``retried`` is 0 before the first retry. The result is a number of milliseconds: less than 0 is none to wait, and what is too
large for a number is as large as a wait may be. What has no result, such as 0 / 0, is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NoReturn

from shared.arithmetic import FUNCTIONS, OPERATIONS, Values, reckoned, rounded

LONGEST, DEEPEST = 500, 50
"""Characters of an expression, and levels of its parentheses."""
LONGEST_MS = 604_800_000
"""A longer time is cut to a week."""
DAY_MS = 86_400_000
MOST = 100
"""Retries for which a time is reckoned; the last holds for all after it."""
_TOKEN = re.compile(r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/%(),])", re.ASCII)
_SPACES = re.compile(r"\s*", re.ASCII)


def delays_ms(expression: str, retries: int) -> tuple[int, ...]:
    """The wait before each of so many retries. Raises ``ValueError`` with the place and what was expected there."""
    if len(expression) > LONGEST:
        raise ValueError(f"expected the end, after at most {LONGEST} characters, at character {LONGEST + 1}")
    return tuple(_clamped(value) for value in _Parser(expression, _counted(retries)).values())


def default_delays_ms(retries: int) -> tuple[int, ...]:
    """QStash's own backoff: e to the power of 2.5 for each retry, in seconds, at most a day."""
    return tuple(round(min(DAY_MS, 1000 * math.exp(2.5 * number))) for number in range(1, _counted(retries) + 1))


def _counted(retries: int) -> int:
    return min(max(retries, 1), MOST)


def _clamped(value: float) -> int:
    return int(rounded(min(max(value, 0), LONGEST_MS)))


class _Parser:
    """Reads and reckons in one go."""

    def __init__(self, text: str, retries: int) -> None:
        self._text, self._retried = text, [float(number) for number in range(retries)]
        self._at, self._depth = 0, 0
        self._next()

    def values(self) -> Values:
        found = self._sum()
        if self._kind:
            self._refuse("an operator or the end")
        return found

    def _next(self) -> None:
        spaces = _SPACES.match(self._text, self._at)
        self._start = self._at = spaces.end() if spaces else self._at
        self._kind = self._word = ""
        if self._at == len(self._text):
            return
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self._refuse("a number, retried, a function or an operator")
        self._kind, self._word, self._at = match.lastgroup or "", match[0], match.end()

    def _refuse(self, expected: str) -> NoReturn:
        raise ValueError(f"expected {expected} at character {self._start + 1}")

    def _sum(self) -> Values:
        return self._chain("+-", self._product)

    def _product(self) -> Values:
        return self._chain("*/%", self._factor)

    def _chain(self, signs: str, operand: Callable[[], Values]) -> Values:
        values = operand()
        while self._kind == "sign" and self._word in signs:
            sign, start = self._word, self._start
            self._next()
            values = reckoned(start, OPERATIONS[sign], values, operand())
        return values

    def _factor(self) -> Values:
        negative = False
        while self._word in {"-", "+"}:
            negative ^= self._word == "-"
            self._next()
        values = self._atom()
        return [-value for value in values] if negative else values

    def _atom(self) -> Values:
        kind, word = self._kind, self._word
        if kind == "number" or word == "retried":
            self._next()
            return self._retried if word == "retried" else [float(word)] * len(self._retried)
        if word in FUNCTIONS:
            return self._call(word)
        if word != "(":
            self._refuse(f"a number, retried, a parenthesis or one of {', '.join(FUNCTIONS)}")
        return self._group(1, 1)[0]

    def _call(self, name: str) -> Values:
        function, fewest, most = FUNCTIONS[name]
        start = self._start
        self._next()
        if self._word != "(":
            self._refuse("a parenthesis")
        return reckoned(start, function, *self._group(fewest, most))

    def _group(self, fewest: int, most: int) -> list[Values]:
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(f"at most {DEEPEST} levels")
        self._next()
        values = [self._sum()]
        while self._word == "," and len(values) < most:
            self._next()
            values.append(self._sum())
        if len(values) < fewest:
            self._refuse("a comma and another value")
        if self._word != ")":
            self._refuse("a closing parenthesis")
        self._depth -= 1
        self._next()
        return values
