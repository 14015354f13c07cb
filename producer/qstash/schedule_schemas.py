"""A recurring schedule in QStash's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from producer.qstash.view_schemas import Headers
from producer.qstash.views import callback_headers, headers_of, limit_fields, queue_of_options, text_or_base64
from shared.about import redacted
from shared.record import Options, Record, Webhook
from shared.settings import WEBHOOK
from shared.store.flow import FlowKey
from shared.store.messages import View
from shared.store.schedules import Schedule

ZONE = "CRON_TZ="
RunState = Literal["IN_PROGRESS", "SUCCESS", "FAIL"]


class ScheduleMade(Struct, frozen=True, rename="camel"):
    schedule_id: str


class QstashSchedule(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    schedule_id: str
    cron: str
    destination: str
    created_at: int
    """Milliseconds since the epoch, as all times."""
    method: str
    retries: int
    is_paused: bool
    header: Headers = field(default_factory=dict)
    body: str = ""
    body_base64: str = ""
    retry_delay_expression: str = ""
    delay: int = 0
    """Seconds, as is the time-out."""
    timeout: int = 0
    callback: str = ""
    callback_header: Headers = field(default_factory=dict)
    failure_callback: str = ""
    failure_callback_header: Headers = field(default_factory=dict)
    caller_ip: str = field(default="", name="callerIP")
    queue_name: str = ""
    flow_control_key: str = ""
    parallelism: int = 0
    rate: int = 0
    period: int = 0
    label: str = ""
    labels: tuple[str, ...] = ()
    last_schedule_time: int = 0
    next_schedule_time: int = 0
    last_schedule_states: dict[str, RunState] = field(default_factory=dict)
    """Of the message that it made last, while that is remembered."""


def schedule_out(
    found: Schedule, usual_attempts: int, limits: Mapping[str, FlowKey], states: Mapping[str, RunState]
) -> QstashSchedule:
    """``usual_attempts``: of a message that says nothing of them. ``limits``: of flow keys. ``states``: of messages."""
    definition, record, options = found.definition, found.template, found.template.options
    webhook, key = options.webhook or Webhook(), flow_key_of(options)
    body, body_base64 = _body(record, webhook)
    attempts = options.retry.max_attempts if options.retry else None
    more: dict[str, Any] = limit_fields(limits[key]) if key in limits else {}
    return QstashSchedule(
        schedule_id=found.id,
        cron=_cron(found),
        destination=webhook.url or webhook.group or "",
        created_at=found.created_ms,
        method=webhook.method,
        retries=(attempts or usual_attempts) - 1,
        is_paused=found.status == "paused",
        header=headers_of(record, webhook),
        body=body,
        body_base64=body_base64,
        retry_delay_expression=webhook.retry_delay or "",
        delay=definition.delay_ms // 1000,
        timeout=(options.deadline_ms or 0) // 1000,
        callback=webhook.callback.url if webhook.callback else "",
        callback_header=callback_headers(webhook.callback, webhook),
        failure_callback=webhook.failure_callback.url if webhook.failure_callback else "",
        failure_callback_header=callback_headers(webhook.failure_callback, webhook),
        caller_ip=webhook.caller_ip or "",
        queue_name=queue_of_options(options),
        flow_control_key=key,
        label=options.labels[0] if options.labels else "",
        labels=options.labels,
        last_schedule_time=found.last_occurrence_ms,
        next_schedule_time=found.next_ms or 0,
        last_schedule_states={found.last_id: states[found.last_id]} if found.last_id in states else {},
        **more,
    )


def state_of(view: View) -> RunState:
    """What was cancelled or has expired has failed: it was not delivered."""
    if view.lives:
        return "IN_PROGRESS"
    return "SUCCESS" if view.status == "delivered" else "FAIL"


def _body(record: Record, webhook: Webhook) -> tuple[str, str]:
    return (redacted(record.body), "") if "body" in webhook.redact else text_or_base64(record.body)


def flow_key_of(options: Options) -> str:
    """Empty where it has none, or is in a queue."""
    return "" if queue_of_options(options) else options.flow_key or ""


def _cron(found: Schedule) -> str:
    """An interval, which QStash does not have, in the words of cron's extensions."""
    rule = found.definition.rule
    if rule.cron is None:
        return f"@every {(rule.every_ms or 0) // 1000}s"
    return rule.cron if rule.timezone == "UTC" else f"{ZONE}{rule.timezone} {rule.cron}"


def is_qstash(found: Schedule) -> bool:
    """Whether it makes webhooks."""
    return found.definition.topic == WEBHOOK.name
