"""A webhook message and a dead letter in QStash's words. Reads views of the store; asks it only for the limits of flow keys.

What a message asks to be redacted is told as ``REDACTED:`` and its SHA-256 in hexadecimal digits, as QStash tells it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from producer.qstash.view_schemas import Headers, QstashDeadLetter, QstashMessage
from shared.about import redacted, shown_headers
from shared.ids import parse_id
from shared.policy import message_policy, topic_policy
from shared.record import Callback, Options, Record, Webhook
from shared.settings import WEBHOOK, Settings
from shared.store import flow
from shared.store.flow import QUEUE_PREFIX, FlowKey
from shared.store.messages import Attempt, View
from shared.store.partition import Store

LOOKED_UP_AT_ONCE = 20
"""Flow keys, of which each is a script in every partition."""


class Answer(NamedTuple):
    """What the receiver of a message answered to an attempt."""

    status: int
    headers: Headers
    body: bytes


def message_out(view: View, settings: Settings, limits: Mapping[str, FlowKey]) -> QstashMessage:
    """``limits``: those of its flow key, as ``limits_of`` finds them."""
    return QstashMessage(**_message_fields(view, settings, limits))


def dead_letter_out(view: View, settings: Settings, limits: Mapping[str, FlowKey]) -> QstashDeadLetter:
    """The same of a dead letter."""
    answer = answer_to(view)
    body, body_base64 = text_or_base64(answer.body) if answer else ("", "")
    return QstashDeadLetter(
        **_message_fields(view, settings, limits),
        dlq_id=view.id,
        response_status=answer.status if answer else 0,
        response_header=answer.headers if answer else {},
        response_body=body,
        response_body_base64=body_base64,
    )


async def limits_of(store: Store, views: Iterable[View]) -> dict[str, FlowKey]:
    """The flow keys of those messages, queues apart, each looked up once. Raises ``Outage``."""
    keys = sorted({key for view in views if (key := flow_control_key(view))})
    found: list[FlowKey] = []
    for start in range(0, len(keys), LOOKED_UP_AT_ONCE):
        some = keys[start : start + LOOKED_UP_AT_ONCE]
        found += await asyncio.gather(*(flow.get(store, WEBHOOK.name, key) for key in some))
    return {one.flow_key: one for one in found}


def webhook_of(view: View) -> Webhook:
    """Where a message goes; an empty one where its record cannot be read."""
    return (view.record and view.record.options.webhook) or Webhook()


def flow_control_key(view: View) -> str:
    """Empty where it has none: a queue is a flow key too, and none of QStash's."""
    key = view.record.options.flow_key if view.record else None
    return "" if key is None or key.startswith(QUEUE_PREFIX) else key


def queue_of(view: View) -> str:
    """Empty where it is in none."""
    return queue_of_options(view.record.options) if view.record else ""


def queue_of_options(options: Options) -> str:
    key = options.flow_key or ""
    named = options.webhook.queue if options.webhook else None
    return named or (key.removeprefix(QUEUE_PREFIX) if key.startswith(QUEUE_PREFIX) else "")


def answer_to(view: View) -> Answer | None:
    """What its last failed attempt was answered; ``None`` where nothing was, or it had none."""
    return response_of(view.errors[-1]) if view.errors else None


def response_of(attempt: Attempt) -> Answer | None:
    response = attempt.response
    if response is None:
        return None
    body = base64.b64decode(response.body_base64) if response.body_base64 else response.body.encode()
    return Answer(response.status, headers_out(response.headers.items()), body)


def headers_out(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Headers as QStash has them: to each name a list of values."""
    found: Headers = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def text_or_base64(content: bytes) -> tuple[str, str]:
    """The content as text, or else as base64; the other one is empty."""
    try:
        return content.decode(), ""
    except UnicodeDecodeError:
        return "", base64.b64encode(content).decode()


def _message_fields(view: View, settings: Settings, limits: Mapping[str, FlowKey]) -> dict[str, Any]:
    """Of a record that cannot be read: what is known all the same, and its bytes as the body."""
    record, webhook = view.record or Record(view.id, 0, "base64", view.stored), webhook_of(view)
    options, key = record.options, flow_control_key(view)
    body, body_base64 = text_or_base64(record.body)
    policy = message_policy(topic_policy(settings, settings.all_topics().get(WEBHOOK.name, WEBHOOK)), options)
    return {
        "message_id": view.id,
        "url": webhook.url,
        "method": webhook.method,
        "max_retries": policy.max_attempts - 1,
        "not_before": _not_before(view),
        "created_at": record.created_ms,
        "topic_name": webhook.group or "",
        "endpoint_name": webhook.endpoint or "",
        "queue_name": queue_of(view),
        "header": headers_of(record, webhook),
        "body": redacted(record.body) if "body" in webhook.redact else body,
        "body_base64": "" if "body" in webhook.redact else body_base64,
        "retry_delay_expression": webhook.retry_delay or "",
        "callback": webhook.callback.url if webhook.callback else "",
        "callback_header": callback_headers(webhook.callback, webhook),
        "failure_callback": webhook.failure_callback.url if webhook.failure_callback else "",
        "failure_callback_header": callback_headers(webhook.failure_callback, webhook),
        "schedule_id": options.schedule or "",
        "caller_ip": webhook.caller_ip or "",
        "flow_control_key": key,
        "label": options.labels[0] if options.labels else "",
        "labels": options.labels,
        "timeout": options.deadline_ms or 0,
        **(limit_fields(limits[key]) if key in limits else {}),
    }


def _not_before(view: View) -> int:
    """The time first asked for of one that was tried already: its due time is that of the next attempt, or was of the last."""
    asked = parse_id(view.id)
    return int(asked.score) if asked and view.attempts else view.due_ms


def headers_of(record: Record, webhook: Webhook) -> Headers:
    """The message's own, and its media type, which is sent with them."""
    own = record.options.headers
    typed = any(name.lower() == "content-type" for name in own)
    return _without_redacted(own if typed or not record.body else {"Content-Type": record.content_type, **own}, webhook)


def callback_headers(callback: Callback | None, webhook: Webhook) -> Headers:
    return _without_redacted(callback.headers, webhook) if callback else {}


def _without_redacted(headers: Mapping[str, str], webhook: Webhook) -> Headers:
    return {name: [value] for name, value in shown_headers(headers, webhook.redact).items()}


def limit_fields(found: FlowKey) -> dict[str, int]:
    """Whole seconds, at least one: QStash knows no shorter period."""
    period_s = max(1, found.period_ms // 1000) if found.rate else 0
    return {"parallelism": found.concurrency, "rate": found.rate, "period": period_s}
