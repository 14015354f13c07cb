"""What fields of several requests have in common."""

from __future__ import annotations

from typing import TypeVar

from msgspec import UnsetType

from shared.errors import InvalidField
from shared.record import RetryOptions

Value = TypeVar("Value")


def set_or_none(value: Value | UnsetType) -> Value | None:
    return None if isinstance(value, UnsetType) else value


def retry_of(asked: RetryOptions | UnsetType) -> RetryOptions | None:
    """Raises ``InvalidField``."""
    retry = set_or_none(asked)
    if retry and retry.initial_ms is not None and retry.max_ms is not None and retry.max_ms < retry.initial_ms:
        raise InvalidField("retry.max_ms", f"expected at least initial_ms ({retry.initial_ms}); got {retry.max_ms}")
    if retry and retry.delays_ms and not retry.initial_ms is retry.max_ms is retry.factor is None:
        raise InvalidField("retry.delays_ms", "expected either delays_ms or initial_ms, max_ms and factor")
    return retry
