"""What holds for one message: its own options, else its topic's settings, else the service's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from shared.backoff import Backoff
from shared.record import Options, RetryOptions
from shared.settings import Settings, TopicRetrySettings, TopicSettings

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
    general = Backoff(retry.initial_ms, retry.max_ms, retry.factor, retry.jitter, retry.delays_ms)
    return Policy(
        max_attempts=_first(own.max_attempts, retry.max_attempts),
        backoff=_backoff(general, own),
        deadline_ms=_first(topic.deadline_ms, settings.consumers.deadline_ms),
        retention_ms=_first(topic.retention_ms, settings.retention.delivered_ms),
    )


def message_policy(topic: Policy, options: Options) -> Policy:
    """The topic's policy with what the message asks for instead."""
    retry = options.retry
    if retry is None and options.deadline_ms is None and options.retention_ms is None:
        return topic
    return Policy(
        max_attempts=_first(retry.max_attempts if retry else None, topic.max_attempts),
        backoff=_backoff(topic.backoff, retry) if retry else topic.backoff,
        deadline_ms=_first(options.deadline_ms, topic.deadline_ms),
        retention_ms=_first(options.retention_ms, topic.retention_ms),
    )


def _backoff(general: Backoff, own: TopicRetrySettings | RetryOptions) -> Backoff:
    """The more general one with what is asked for instead: a list of waits, or values of the formula, which end a list."""
    formula = any(value is not None for value in (own.initial_ms, own.max_ms, own.factor))
    return Backoff(
        initial_ms=_first(own.initial_ms, general.initial_ms),
        max_ms=_first(own.max_ms, general.max_ms),
        factor=_first(own.factor, general.factor),
        jitter=_first(own.jitter, general.jitter),
        delays_ms=_first(own.delays_ms, () if formula else general.delays_ms),
    )


def _first(own: Value | None, general: Value) -> Value:
    return general if own is None else own
