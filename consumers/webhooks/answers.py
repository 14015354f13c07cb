"""What an HTTP answer to a webhook means for its message. Pure.

* 2xx: delivered.
* 489 with ``Upstash-NonRetryable-Error: true`` (QStash) and any failure with ``webhook-delivery: abort-message`` (Svix,
  https://docs.svix.com/receiving/delivery-control) are the last: no other attempt is wanted.
* Anything else is a failure; redirects are not followed. One that says when to come again is obeyed. With 429 and 503 that costs
  no attempt. A later time than a day ahead is not obeyed, as with QStash: then the policy says when.

When to come again is read by ``consumers.webhooks.resets``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.webhooks.resets import asked_ms

NON_RETRYABLE = 489
LIMITED = frozenset({429, 503})
LONGEST_MS = 86_400_000
LIMITED_NOW_MS = 1_000
"""What 0 and a time that is past mean where they cost no attempt: with clocks apart it would be asked again and again at once."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer, as much of it as was read."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False


class Judgement(msgspec.Struct, frozen=True):
    """``wait``: a failure that costs no attempt. ``after_ms``: when to come again; ``None``: as the policy says."""

    kind: Literal["delivered", "dead", "wait", "retry"]
    after_ms: int | None = None


def judge(answer: Answer, now_ms: int) -> Judgement:
    """``now_ms``: since the epoch, what dates are compared with."""
    if 200 <= answer.status < 300:
        return Judgement("delivered")
    headers = {name.lower(): value.strip() for name, value in answer.headers}
    if _is_last(answer.status, headers):
        return Judgement("dead")
    after_ms = asked_ms(headers, now_ms, is_limited=answer.status in LIMITED)
    if after_ms is None or after_ms > LONGEST_MS:
        return Judgement("retry")
    return Judgement("wait", after_ms or LIMITED_NOW_MS) if answer.status in LIMITED else Judgement("retry", after_ms)


def _is_last(status: int, headers: dict[str, str]) -> bool:
    if status == NON_RETRYABLE and headers.get("upstash-nonretryable-error", "").lower() == "true":
        return True
    return headers.get("webhook-delivery", "").lower() == "abort-message"
