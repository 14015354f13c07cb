"""What comes of the starts of messages: how late each was, and the percentiles of that."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1_000_000) // 1_000_000) - 1))]


def latenesses_ms(starts_us: Sequence[int], first_due_ms: int, per_second: float) -> list[float]:
    """Start minus due time of each message, sorted. Message n is due ``n / per_second`` after the first, cut to milliseconds."""
    return sorted(start_us / 1000 - (first_due_ms + int(number * 1000 / per_second)) for number, start_us in enumerate(starts_us))


def lateness_figures(ordered_ms: Sequence[float]) -> dict[str, float]:
    return {
        "p50_ms": percentile(ordered_ms, 0.5),
        "p90_ms": percentile(ordered_ms, 0.9),
        "p99_ms": percentile(ordered_ms, 0.99),
        "p999_ms": percentile(ordered_ms, 0.999),
        "max_ms": ordered_ms[-1],
        "earliest_ms": ordered_ms[0],
    }


def quantiles(ordered: Sequence[float], points: int = 1001) -> tuple[float, ...]:
    """Evenly spread, the first and the last included."""
    return tuple(ordered[round(point * (len(ordered) - 1) / (points - 1))] for point in range(points))
