"""answers.py."""

from __future__ import annotations

import pytest

from consumers.webhooks.answers import Answer, Judgement, judge

NOW_MS = 1_790_000_000_000
"""2026-09-21T14:13:20Z."""


def _judge(status: int, **headers: str) -> Judgement:
    return judge(Answer(status, tuple((name.replace("_", "-"), value) for name, value in headers.items())), NOW_MS)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_delivers(status: int) -> None:
    """Whatever its headers say."""
    assert _judge(status, Retry_After="5", webhook_delivery="abort-message") == Judgement("delivered")


@pytest.mark.parametrize("status", [101, 199, 300, 301, 304, 307, 400, 401, 404, 429, 489, 500, 503, 599])
def test_anything_else_is_tried_again_by_the_policy(status: int) -> None:
    """Redirects too: they are not followed."""
    assert _judge(status) == Judgement("retry")


def test_a_receiver_may_say_that_it_wants_no_other_attempt() -> None:
    """In the words of QStash, with its status alone, and of Svix with any failure."""
    assert _judge(489, Upstash_NonRetryable_Error="true") == Judgement("dead")
    assert _judge(500, Upstash_NonRetryable_Error="true") == Judgement("retry")
    assert _judge(489, Upstash_NonRetryable_Error="false") == Judgement("retry")
    assert _judge(500, Webhook_Delivery="abort-message") == Judgement("dead")
    assert _judge(500, webhook_delivery="disable") == Judgement("retry")


@pytest.mark.parametrize(
    ("value", "after_ms"),
    [
        ("0", 0),
        ("10", 10_000),
        ("1.5", 1_500),
        ("6m5s", 365_000),
        ("1h2m", 3_720_000),
        ("120ms", 120),
        ("1500us", 2),
        ("3ns", 0),
        ("1µs", 0),
        ("1d", 86_400_000),
        ("1790000007", 7_000),
        ("1790000007500", 7_500),
        ("1789999999", 0),
        ("Mon, 21 Sep 2026 14:13:30 GMT", 10_000),
        ("2026-09-21T14:13:21.250Z", 1_250),
        ("2026-09-21T16:13:22+02:00", 2_000),
        ("Mon, 21 Sep 2020 13:33:30 GMT", 0),
    ],
)
def test_when_to_come_again_is_said_in_many_forms(value: str, after_ms: int) -> None:
    """Seconds, durations, dates, times since the epoch; a limit that says when costs no attempt."""
    assert _judge(429, Retry_After=value) == _judge(503, X_RateLimit_Reset=value) == Judgement("wait", after_ms)
    assert _judge(500, Retry_After=value) == Judgement("retry", after_ms)


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "90000", "2d", "1m 5s", "5x", "1e3", "Mon, 99 Sep 2026 13:33:30 GMT", "5, 6"]
)
def test_what_is_not_understood_or_too_far_away_is_left_to_the_policy(value: str) -> None:
    """Also a limit costs an attempt then."""
    assert _judge(429, Retry_After=value) == Judgement("retry")


def test_headers_of_the_family_are_looked_at_in_order() -> None:
    """``Retry-After`` first; of OpenAI's two the later one; that of the IETF's draft by its parameter."""
    assert _judge(429, X_RateLimit_Reset="9", Retry_After="1") == Judgement("wait", 1_000)
    assert _judge(429, Retry_After="soon", X_Rate_Limit_Reset="9") == Judgement("wait", 9_000)
    assert _judge(429, RateLimit_Reset="3") == Judgement("wait", 3_000)
    assert _judge(429, RateLimit='"default";r=0;t=30') == Judgement("wait", 30_000)
    assert _judge(429, RateLimit="limit=100, remaining=0") == Judgement("retry")
    assert _judge(429, x_ratelimit_reset_requests="1s", x_ratelimit_reset_tokens="6m0s") == Judgement("wait", 360_000)
