"""What can be reckoned in an expression: four operations and a remainder, and nine functions. Numbers are floats, infinity among
them: nothing grows, nothing overflows, each takes a moment. Pure.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

Values = list[float]
"""Of one part of an expression: its value in each of the cases that it is reckoned for."""


def reckoned(start: int, function: Callable[..., float], *operands: Values) -> Values:
    """Case by case. ``start``: where in the text it is asked for, to be named in the ``ValueError`` where there is no result."""
    results = []
    for case, values in enumerate(zip(*operands, strict=True)):
        try:
            result = float(function(*values))
        except (ValueError, ZeroDivisionError):
            result = math.nan
        if math.isnan(result):
            raise ValueError(f"expected what has a result at character {start + 1}: there is none where retried is {case}")
        results.append(result)
    return results


def rounded(value: float) -> float:
    """Halves go away from 0, as most expect; Python's own go to the even neighbour."""
    whole = float(math.trunc(value))
    return whole + math.copysign(1, value) if abs(value - whole) >= 0.5 else whole


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _whole(function: Callable[[float], float]) -> Callable[[float], float]:
    """Infinity stays what it is; Python would raise."""
    return lambda value: value if math.isinf(value) else function(value)


FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    "pow": (_power, 2, 2), "sqrt": (math.sqrt, 1, 1), "abs": (abs, 1, 1), "exp": (_exponential, 1, 1),
    "floor": (_whole(math.floor), 1, 1), "ceil": (_whole(math.ceil), 1, 1), "round": (_whole(rounded), 1, 1),
    "min": (lambda *values: min(values), 1, 20), "max": (lambda *values: max(values), 1, 20),
}  # fmt: skip
"""With the fewest and the most values that each takes."""
OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": math.fmod,
}  # fmt: skip
"""``%``: what is left has the sign of the first."""
