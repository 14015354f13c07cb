"""``POST /echoAtTime``."""

from __future__ import annotations

import msgspec
from aiohttp import web

from producer.answers import json_answer
from producer.context import STORE
from producer.drafts import echo_draft
from producer.openapi import describe
from producer.requests import durability, idempotency_key, read_json, rules
from producer.schemas import EchoAnswer, EchoRequest
from shared.store.accept import schedule
from shared.times import format_ms

_decoder = msgspec.json.Decoder(EchoRequest)


@describe(
    "Write a message to the log and to standard output at its time",
    tag="messages",
    scope="schedule",
    request=EchoRequest,
    example={"time": "2030-01-31T09:00:00+01:00", "message": "hello"},
    answers={202: EchoAnswer},
    problems=(400, 408, 409, 413, 415, 422, 503),
    idempotent=True,
    durable=True,
)
async def echo_at_time(request: web.Request) -> web.Response:
    asked = await read_json(request, _decoder)
    draft = echo_draft(asked, rules(request))
    accepted = await schedule(request.app[STORE], [draft], idempotency_key(request), durability(request))
    answer = EchoAnswer(
        id=accepted.ids[0],
        status="scheduled",
        time=format_ms(accepted.due_ms[0]),
        message=asked.message,
        durability=accepted.durability,
        deduplicated=accepted.deduplicated,
    )
    return json_answer(answer, 202, {"Location": f"/messages/{answer.id}"})
