"""What tells others of a webhook's attempts: messages to the URLs that it names, made with the end of the attempt itself. Pure.

The body has the fields of QStash's callbacks (https://upstash.com/docs/qstash/features/callbacks), so that what receives those
receives these.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from consumers.delivery import Delivery
from shared.record import Callback, Options, Record, Webhook
from shared.settings import WEBHOOK
from shared.store.chunks import Draft
from shared.store.entries import Settlement
from shared.store.messages import Response

_encode = msgspec.json.Encoder().encode
ALWAYS = frozenset({"status", "header", "body", "retried", "maxRetries", "sourceHeader", "sourceBody"})
"""What is told even where it is empty."""
NO_RESPONSE = Response(status=0)
"""Of an attempt that nothing answered."""


def callbacks(delivery: Delivery, settlement: Settlement, response: Response | None, error: str) -> list[Draft]:
    """One for each attempt that counts, and one more where the message became a dead letter, as far as it asks for them."""
    webhook = delivery.record.options.webhook
    if webhook is None or not _is_told(settlement):
        return []
    is_dead = settlement.outcome == "dead"
    body = _body(delivery, webhook, response or NO_RESPONSE, error, is_dead=is_dead)
    wanted = (webhook.callback, webhook.failure_callback if is_dead else None)
    redact = ("body",) if webhook.redact else ()  # it holds what is redacted there
    return [_draft(delivery.record, one, body, redact) for one in wanted if one is not None]


def _is_told(settlement: Settlement) -> bool:
    """Not one that costs no attempt, nor one that expired."""
    return settlement.counts_as is not None


def _draft(record: Record, callback: Callback, body: bytes, redact: tuple[str, ...]) -> Draft:
    options = Options(
        priority=record.options.priority,
        retry=callback.retry,
        deadline_ms=callback.deadline_ms,
        headers=callback.headers,
        content_type="application/json",
        trace=record.options.trace,
        webhook=Webhook(url=callback.url, method=callback.method, callback_of=record.id, redact=redact),
    )
    return Draft(WEBHOOK.name, "text", body, delay_ms=callback.delay_ms, options=options)


def _body(delivery: Delivery, webhook: Webhook, response: Response, error: str, *, is_dead: bool) -> bytes:
    record = delivery.record
    attempts = delivery.attempt if delivery.started_ms else delivery.entry.attempts
    fields: dict[str, Any] = {
        "status": response.status,
        "header": {name: [value] for name, value in response.headers.items()},
        "body": response.body_base64 or _base64(response.body.encode()),
        "error": error,
        "retried": max(0, attempts - 1),
        "maxRetries": delivery.policy.max_attempts - 1,
        "dlqId": record.id if is_dead else "",
        "sourceMessageId": record.id,
        "topicName": webhook.group,
        "endpointName": webhook.endpoint,
        "queueName": webhook.queue,
        "url": webhook.url,
        "method": webhook.method,
        "sourceHeader": {name: [value] for name, value in record.options.headers.items()},
        "sourceBody": _base64(record.body),
        "notBefore": delivery.entry.due_ms,
        "createdAt": record.created_ms,
        "scheduleId": record.options.schedule,
        "callerIP": webhook.caller_ip,
    }
    return _encode({name: value for name, value in fields.items() if value or name in ALWAYS})


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
