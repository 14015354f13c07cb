"""From a checked QStash call to drafts: the same that the service's own API makes. Pure but for the clock that it is given."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import msgspec

from producer.drafts import Rules
from producer.qstash.options import Asked
from shared.errors import InvalidField
from shared.record import Kind, Options, Webhook
from shared.settings import WEBHOOK
from shared.store.chunks import Draft
from shared.store.flow import QUEUE_PREFIX
from shared.store.url_groups import Endpoint
from shared.targets import Targets


class Target(NamedTuple):
    """Where a message goes: a URL, or a group, whose endpoints are known where it is sent now."""

    url: str = ""
    group: str | None = None
    endpoint: str | None = None


def targets_of(url: str, group: str | None, endpoints: tuple[Endpoint, ...]) -> list[Target]:
    return [Target(one.url, group, one.name) for one in endpoints] if group is not None else [Target(url)]


def draft_of(asked: Asked, target: Target, body: bytes, queue: str | None, caller_ip: str | None, rules: Rules) -> Draft:
    """Raises ``InvalidField``."""
    if len(body) > rules.limits.max_body_bytes:
        limit = rules.limits.max_body_bytes
        raise InvalidField("body", f"expected at most {limit} bytes (Producer.MaxBodyBytes); got {len(body)}", status=413)
    due_ms, delay_ms = _when(asked, rules)
    for name, one in (("Upstash-Callback-Delay", asked.callback), ("Upstash-Failure-Callback-Delay", asked.failure_callback)):
        if one is not None:
            _check_horizon(name, rules.now_ms + one.delay_ms, rules)
    queue = queue or asked.queue
    webhook = Webhook(
        url=target.url,
        method=asked.method,
        callback=asked.callback,
        failure_callback=asked.failure_callback,
        group=target.group,
        endpoint=target.endpoint,
        queue=queue,
        retry_delay=asked.retry_delay,
        caller_ip=caller_ip,
        redact=asked.redact,
    )
    options = Options(
        priority=rules.priorities.get(WEBHOOK.name),
        flow_key=f"{QUEUE_PREFIX}{queue}" if queue else asked.flow_key,
        ordered=bool(queue),
        retry=asked.retry,
        deadline_ms=asked.timeout_ms,
        labels=asked.labels,
        headers=asked.headers,
        content_type=asked.content_type,
        trace=rules.trace,
        webhook=webhook,
    )
    return Draft(WEBHOOK.name, _kind(body), body, due_ms, delay_ms, options)


def check_urls(asked: Asked, url: str, targets: Targets) -> None:
    """``url``: empty where a group is asked for its own. Raises ``InvalidField``."""
    callbacks = (("Upstash-Callback", asked.callback), ("Upstash-Failure-Callback", asked.failure_callback))
    named = [("destination", url), *((name, one.url) for name, one in callbacks if one is not None)]
    for name, one in named:
        if one or name != "destination":
            try:
                targets.check(one)
            except ValueError as error:
                raise InvalidField(name, f"{error}; got {one[:80]!r}", 400) from None


def _when(asked: Asked, rules: Rules) -> tuple[int | None, int]:
    """Not before wins over a delay, as with QStash."""
    if asked.not_before_ms is not None:
        _check_horizon("Upstash-Not-Before", asked.not_before_ms, rules)
        return asked.not_before_ms, 0
    delay_ms = asked.delay_ms or 0
    _check_horizon("Upstash-Delay", rules.now_ms + delay_ms, rules)
    return None, delay_ms


def _check_horizon(name: str, due_ms: int, rules: Rules) -> None:
    if due_ms > rules.latest_ms:
        days = rules.limits.horizon_days
        raise InvalidField(name, f"expected a time at most {days} days ahead (Producer.HorizonDays)", 400)


def _kind(body: bytes) -> Kind:
    """Whatever it is called, its bytes are kept: as they are where they are text."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return "base64"
    return "text"


def deduplication_name(asked: Asked, target: Target, body: bytes) -> str | None:
    """The name under which a second one is not stored; ``None`` where none is asked for."""
    where = target.group or target.url
    if asked.deduplication_id is not None:
        return f"deduplicated {asked.deduplication_id} {target.url if target.group else ''}"
    if not asked.content_based:
        return None
    content = msgspec.json.encode([where, target.url, asked.content_type, sorted(asked.headers.items())])
    return f"deduplicated by content {sha256(content + body).hexdigest()}"
