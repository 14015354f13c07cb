"""What QStash's calls answer: a message, a dead letter, or nothing. Fields have QStash's names, and what is empty is left out."""

from __future__ import annotations

from msgspec import Struct, field

Headers = dict[str, list[str]]
"""To each name the values of it."""


class Done(Struct, frozen=True):
    """It was done, and there is nothing to tell."""


class QstashMessage(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A message. Times are milliseconds since the epoch."""

    message_id: str
    url: str
    """Empty where the URL group is asked for its endpoints when it is delivered."""
    method: str
    max_retries: int
    not_before: int
    created_at: int
    topic_name: str = ""
    """The URL group."""
    endpoint_name: str = ""
    queue_name: str = ""
    header: Headers = field(default_factory=dict)
    body: str = ""
    """Where it is UTF-8."""
    body_base64: str = ""
    """Where it is not."""
    retry_delay_expression: str = ""
    callback: str = ""
    callback_header: Headers = field(default_factory=dict)
    failure_callback: str = ""
    failure_callback_header: Headers = field(default_factory=dict)
    schedule_id: str = ""
    caller_ip: str = field(default="", name="callerIP")
    flow_control_key: str = ""
    parallelism: int = 0
    rate: int = 0
    period: int = 0
    """Seconds."""
    label: str = ""
    """The first of ``labels``."""
    labels: tuple[str, ...] = ()
    timeout: int = 0
    """Milliseconds; absent where the topic's deadline holds."""


class QstashDeadLetter(QstashMessage, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A message that is in the DLQ, and the last answer that it got."""

    dlq_id: str
    response_status: int
    """0 where there was no answer."""
    response_header: Headers = field(default_factory=dict)
    response_body: str = ""
    """Where it is UTF-8."""
    response_body_base64: str = ""
    """Where it is not."""
