"""A message as a handler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.record import Webhook

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Message(msgspec.Struct, frozen=True):
    """``id`` is the same for every delivery of the message: use it as the idempotency key of what the handler does."""

    id: str
    topic: str
    body: bytes
    """The body's own bytes."""
    content_type: str
    attempt: int
    """1 for the first delivery."""
    due_ms: int
    """When this attempt was due, milliseconds since the epoch by Redis's clock."""
    started_ms: int
    """When this attempt started, by the same clock; never before ``due_ms``."""
    created_ms: int
    headers: Mapping[str, str]
    labels: tuple[str, ...]
    trace: str | None
    """W3C ``traceparent`` of the request that made the message."""
    schedule: str | None = None
    """Id of the recurring schedule that made it."""
    occurrence_ms: int | None = None
    """Which of its runs it is: when it was to occur, the same for every attempt."""
    webhook: Webhook | None = None
    """Where it goes; only of topic ``webhook``."""

    @property
    def text(self) -> str:
        """The body as UTF-8 text; bytes that are none are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises ``ValueError``."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ValueError(f"the body is no JSON: {error}") from error

    @property
    def due(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.due_ms)

    @property
    def lateness_ms(self) -> int:
        """Start minus due time."""
        return max(0, self.started_ms - self.due_ms)
