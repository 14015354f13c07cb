"""``POST /messages/preview``: what would become of a message, without storing it."""

from __future__ import annotations

import msgspec
from aiohttp import web
from msgspec import UNSET

from producer.answers import json_answer, local_out
from producer.context import SETTINGS
from producer.drafts import ALL_BITS, message_draft
from producer.openapi import describe
from producer.requests import read_json, rules
from producer.schemas import NewMessage, PreviewOut, RetryOut
from shared.policy import Policy, message_policy, topic_policy
from shared.times import format_ms

_new = msgspec.json.Decoder(NewMessage)


@describe(
    "What would become of a message: when it is delivered, and every retry its policy allows. Nothing is stored",
    tag="messages",
    scope="read",
    request=NewMessage,
    example={"topic": "echo", "deliver_at_local": "2035-03-25T02:30:00", "timezone": "Europe/Berlin"},
    answers={200: PreviewOut},
    problems=(400, 408, 413, 415, 422, 503),
)
async def preview_message(request: web.Request) -> web.Response:
    asked, against = await read_json(request, _new), rules(request)
    draft, settings = message_draft(asked, against), request.app[SETTINGS]
    earliest_ms, latest_ms = draft.due_at(against.now_ms), draft.due_at(against.now_ms, ALL_BITS)
    expires_ms = draft.options_at(earliest_ms).expires_ms
    policy = message_policy(topic_policy(settings, settings.all_topics()[draft.topic]), draft.options)
    answer = PreviewOut(
        topic=draft.topic,
        deliver_at=format_ms(earliest_ms),
        deliver_at_latest=format_ms(latest_ms) if draft.spread_ms else UNSET,
        deliver_at_local=local_out(asked, earliest_ms),
        expires_at=UNSET if expires_ms is None else format_ms(expires_ms),
        deadline_ms=policy.deadline_ms,
        attempts=_attempts(policy, earliest_ms, latest_ms),
    )
    return json_answer(answer)


def _attempts(policy: Policy, earliest_ms: int, latest_ms: int) -> tuple[RetryOut, ...]:
    attempts = [RetryOut(attempt=1, earliest=format_ms(earliest_ms), latest=format_ms(latest_ms))]
    for failures in range(1, policy.max_attempts):
        shortest_ms, longest_ms = policy.backoff.range_ms(failures)
        earliest_ms, latest_ms = earliest_ms + shortest_ms, latest_ms + longest_ms
        attempts.append(RetryOut(attempt=failures + 1, earliest=format_ms(earliest_ms), latest=format_ms(latest_ms)))
    return tuple(attempts)
