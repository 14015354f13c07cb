"""A message's own options come before its topic's settings, and those before the service's."""

from __future__ import annotations

import msgspec

from shared.backoff import Backoff
from shared.policy import Policy, message_policy, topic_policy
from shared.record import NO_OPTIONS, Options, RetryOptions
from shared.settings import (
    ConsumersSettings,
    RetentionSettings,
    RetrySettings,
    Settings,
    TopicRetrySettings,
    TopicSettings,
)

SERVICE = Settings(
    consumers=ConsumersSettings(deadline_ms=10_000),
    retry=RetrySettings(max_attempts=4, initial_ms=100, max_ms=9_000, factor=3.0, jitter=0.1),
    retention=RetentionSettings(delivered_ms=50_000),
)
PLAIN = TopicSettings(name="plain", handler="some.module")
OWN = TopicSettings(
    name="own",
    handler="some.module",
    retry=TopicRetrySettings(max_attempts=7, initial_ms=0, jitter=0.0),
    deadline_ms=2_000,
    retention_ms=0,
)


def test_a_topic_without_settings_of_its_own_follows_the_service() -> None:
    """Every value is the service's."""
    assert topic_policy(SERVICE, PLAIN) == Policy(
        max_attempts=4, backoff=Backoff(100, 9_000, 3.0, 0.1), deadline_ms=10_000, retention_ms=50_000
    )


def test_a_topic_overrides_what_it_names_and_nothing_else() -> None:
    """Also zeros are values: no wait, no jitter, no retention."""
    assert topic_policy(SERVICE, OWN) == Policy(
        max_attempts=7, backoff=Backoff(0, 9_000, 3.0, 0.0), deadline_ms=2_000, retention_ms=0
    )


def test_a_message_without_options_follows_its_topic() -> None:
    """The topic's policy itself, made anew for nobody."""
    topic = topic_policy(SERVICE, OWN)

    assert message_policy(topic, NO_OPTIONS) is topic
    assert message_policy(topic, Options(labels=("a",), expires_ms=1)) is topic


def test_a_message_overrides_what_it_names_and_nothing_else() -> None:
    """Each option alone, zeros included, leaves the rest to the topic."""
    topic = topic_policy(SERVICE, PLAIN)
    retry = RetryOptions(initial_ms=0, factor=1.0)

    assert message_policy(topic, Options(retry=RetryOptions(max_attempts=1))).max_attempts == 1
    assert message_policy(topic, Options(retry=retry)) == Policy(4, Backoff(0, 9_000, 1.0, 0.1), 10_000, 50_000)
    assert message_policy(topic, Options(deadline_ms=1)) == Policy(4, topic.backoff, 1, 50_000)
    assert message_policy(topic, Options(retention_ms=0)) == Policy(4, topic.backoff, 10_000, 0)


def test_a_message_comes_before_its_topic_and_the_topic_before_the_service() -> None:
    """One value from each: the message's attempts, the topic's first wait, the service's longest."""
    policy = message_policy(topic_policy(SERVICE, OWN), Options(retry=RetryOptions(max_attempts=2)))

    assert (policy.max_attempts, policy.backoff.initial_ms, policy.backoff.max_ms) == (2, 0, 9_000)


def test_a_list_of_waits_and_a_formula_replace_each_other() -> None:
    """Whoever asks last is followed: a message's formula ends its topic's list, its list its topic's formula."""
    listed = topic_policy(SERVICE, msgspec.structs.replace(OWN, retry=TopicRetrySettings(delays_ms=(1, 2))))
    formula = message_policy(listed, Options(retry=RetryOptions(initial_ms=7)))

    assert (listed.backoff.delays_ms, listed.backoff.jitter) == ((1, 2), 0.1)
    assert (formula.backoff.delays_ms, formula.backoff.initial_ms) == ((), 7)
    assert message_policy(formula, Options(retry=RetryOptions(delays_ms=(3,), jitter=0))).backoff.range_ms(1) == (3, 3)
    assert message_policy(listed, Options(retry=RetryOptions(max_attempts=9))).backoff.delays_ms == (1, 2)
    assert topic_policy(msgspec.structs.replace(SERVICE, retry=RetrySettings(delays_ms=(5,))), PLAIN).backoff.delays_ms == (5,)
