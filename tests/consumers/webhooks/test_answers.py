"""answers.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from consumers.webhooks.answers import LIMITED_NOW_MS, Answer, Judgement, judge

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
        ("1", 1_000),
        ("10", 10_000),
        ("1.5", 1_500),
        ("6m5s", 365_000),
        ("1h2m", 3_720_000),
        ("120ms", 120),
        ("1500us", 2),
        ("1500µs", 2),
        ("2000000ns", 2),
        ("1d", 86_400_000),
        ("1790000007", 7_000),
        ("1790000007500", 7_500),
        ("Mon, 21 Sep 2026 14:13:30 GMT", 10_000),
        ("2026-09-21T14:13:21.250Z", 1_250),
        ("2026-09-21T16:13:22+02:00", 2_000),
        ("Monday, 21-Sep-26 14:13:30 GMT", 10_000),
        ("Mon Sep 21 14:13:30 2026", 10_000),
        ("86400", 86_400_000),
    ],
)
def test_when_to_come_again_is_said_in_many_forms(value: str, after_ms: int) -> None:
    """Seconds, durations, dates, times since the epoch; a limit that says when costs no attempt."""
    assert _judge(429, Retry_After=value) == _judge(503, X_RateLimit_Reset=value) == Judgement("wait", after_ms)
    assert _judge(500, Retry_After=value) == Judgement("retry", after_ms)


@pytest.mark.parametrize(
    "value", ["0", "0.0", "3ns", "1789999999", "1789999999000", "Mon, 21 Sep 2020 13:33:30 GMT", "0001-01-01T00:00:00+14:00"]
)
def test_now_is_at_once_but_not_for_one_who_is_limited(value: str) -> None:
    """A second lies between two requests that cost no attempt, where no other time is said."""
    assert _judge(500, Retry_After=value) == Judgement("retry", 0)
    assert _judge(429, Retry_After=value) == _judge(503, X_RateLimit_Reset=value) == Judgement("wait", LIMITED_NOW_MS)


@pytest.mark.parametrize(
    "value",
    [
        "", "soon", "-5", "90000", "86400.1", "2d", "1m 5s", "5x", "1e3", "Mon, 99 Sep 2026 13:33:30 GMT", "5, 6", "\u0663",
        "9" * 17, "9" * 400 + "h", "1h" * 2000, "Mon, 21 Sep 2026 14:13:30 +99999999999999999999", "9999-12-31T23:59:59-14:00",
        "Mon, 21 Sep 2026 14:13:30 GMT" + " " * 9000 + "GMT",
    ],
)  # fmt: skip
def test_what_is_not_understood_or_too_far_away_is_left_to_the_policy(value: str) -> None:
    """Also a limit costs an attempt then."""
    assert _judge(429, Retry_After=value) == Judgement("retry")


def test_retry_after_goes_before_all_limits() -> None:
    """Where it says nothing that is understood, they do."""
    assert _judge(429, X_RateLimit_Reset="9", Retry_After="1") == Judgement("wait", 1_000)
    assert _judge(429, Retry_After="soon", X_Rate_Limit_Reset="9") == Judgement("wait", 9_000)
    assert _judge(403, RateLimit_Reset="3") == Judgement("retry", 3_000)


def test_of_several_limits_the_last_of_those_that_are_used_up_is_waited_for() -> None:
    """Those that tell no more than their reset are taken to be."""
    assert _judge(429, x_ratelimit_reset_requests="1s", x_ratelimit_reset_tokens="6m0s") == Judgement("wait", 360_000)
    requests = {"x_ratelimit_reset_requests": "1s", "x_ratelimit_remaining_requests": "0"}
    tokens = {"x_ratelimit_reset_tokens": "6m0s", "x_ratelimit_remaining_tokens": "149984"}
    assert _judge(429, **requests, **tokens) == Judgement("wait", 1_000)
    assert _judge(429, **tokens) == Judgement("wait", 360_000)


@pytest.mark.parametrize(
    ("reset", "remaining"),
    [
        ("X-RateLimit-Reset", "X-RateLimit-Remaining"),
        ("X-Rate-Limit-Reset", "X-Rate-Limit-Remaining"),
        ("RateLimit-Reset", "RateLimit-Remaining"),
    ],
)
def test_a_limit_of_which_something_is_left_delays_no_other_failure(reset: str, remaining: str) -> None:
    """Many tell their limits with every answer: an hour until the reset is no reason to wait an hour after a 502."""
    assert _judge(502, **{reset: "3600", remaining: "4999"}) == Judgement("retry")
    assert _judge(403, **{reset: "3600", remaining: "0"}) == Judgement("retry", 3_600_000)
    assert _judge(403, **{reset: "3600", remaining: "none"}) == Judgement("retry", 3_600_000)
    assert _judge(429, **{reset: "3600", remaining: "4999"}) == Judgement("wait", 3_600_000)


@pytest.mark.parametrize(
    ("value", "after_ms"),
    [
        ('"default";r=0;t=30', 30_000),
        ('"default";t=30;r=0', 30_000),
        ('"default"; r=0; t=30', 30_000),
        ('"burst";r=5;t=1, "day";r=0;t=3600', 3_600_000),
        ('"burst";r=0;t=1, "day";r=70;t=3600', 1_000),
        ('"burst";r=5;t=1, "day";r=70;t=3600', 3_600_000),
        ('"a, t=9";r=0;t=7', 7_000),
        ("limit=100, remaining=0, reset=7", 7_000),
        ("r=0;t=2", 2_000),
        ('"default";r=0', None),
        ('"default";r=0;t=-1', None),
        ('"default";r=0;t=' + "9" * 30, None),
        ("limit=100, remaining=0", None),
    ],
)
def test_the_field_of_the_draft_is_read_by_its_parameters(value: str, after_ms: int | None) -> None:
    """``t`` and ``r`` of each limit; in earlier drafts ``reset`` and ``remaining`` of one."""
    assert _judge(429, RateLimit=value) == (Judgement("retry") if after_ms is None else Judgement("wait", after_ms))


@settings(deadline=None, max_examples=300)
@given(
    some.sampled_from(["Retry-After", "X-RateLimit-Reset", "RateLimit"]),
    some.text(max_size=80) | some.text('0123456789.smhdTZ:+- ,;=tr"', max_size=80),
)
def test_whatever_a_receiver_writes_is_judged(name: str, value: str) -> None:
    """No error comes of it, and no wait beyond a day."""
    found = _judge(429, **{name: value})

    assert found == Judgement("retry") or (found.kind == "wait" and 0 < (found.after_ms or 0) <= 86_400_000)
