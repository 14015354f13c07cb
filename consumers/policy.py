"""What holds for one message: its own options, else its topic's settings, else the service's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from shared.backoff import Backoff
from shared.record import Options
from shared.settings import Settings, TopicSettings

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Policy:
    max_attempts: int
    backoff: Backoff
    deadline_ms: int
    retention_ms: int
    """How long the outcome is kept; 0 keeps none."""


def topic_policy(settings: Settings, topic: TopicSettings) -> Policy:
    retry, own = settings.retry, topic.retry
    return Policy(
        max_attempts=_first(own.max_attempts, retry.max_attempts),
        backoff=Backoff(
            initial_ms=_first(own.initial_ms, retry.initial_ms),
            max_ms=_first(own.max_ms, retry.max_ms),
            factor=_first(own.factor, retry.factor),
            jitter=_first(own.jitter, retry.jitter),
        ),
        deadline_ms=_first(topic.deadline_ms, settings.consumers.deadline_ms),
        retention_ms=_first(topic.retention_ms, settings.retention.delivered_ms),
    )


def message_policy(topic: Policy, options: Options) -> Policy:
    """The topic's policy with what the message asks for instead."""
    retry = options.retry
    if retry is None and options.deadline_ms is None and options.retention_ms is None:
        return topic
    backoff = topic.backoff
    if retry is not None:
        backoff = Backoff(
            initial_ms=_first(retry.initial_ms, backoff.initial_ms),
            max_ms=_first(retry.max_ms, backoff.max_ms),
            factor=_first(retry.factor, backoff.factor),
            jitter=_first(retry.jitter, backoff.jitter),
        )
    return Policy(
        max_attempts=_first(retry.max_attempts if retry else None, topic.max_attempts),
        backoff=backoff,
        deadline_ms=_first(options.deadline_ms, topic.deadline_ms),
        retention_ms=_first(options.retention_ms, topic.retention_ms),
    )


def _first(own: Value | None, general: Value) -> Value:
    return general if own is None else own
