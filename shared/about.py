"""What the log tells of a webhook message besides what happened to it. Pure.

What a message asks to be redacted is told as ``REDACTED:`` and its SHA-256 in hexadecimal digits, as QStash tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from shared.record import Options

MOST_BYTES = 4_096
"""Of a body."""
MOST_HEADER_CHARACTERS = 8_192
"""Of names and values together; the headers after that are left out."""


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str = ""
    method: str = ""
    group: str = ""
    endpoint: str = ""
    queue: str = ""
    schedule: str = ""
    caller_ip: str = ""
    flow_key: str = ""
    max_attempts: int = 0
    """Where the message asks for a number of its own."""
    retry_delay: str = ""
    callback: str = ""
    """Its URL, as is the next."""
    failure_callback: str = ""
    headers: dict[str, str] = {}
    """With the body, only where the message is told of for the first time."""
    body: bytes = b""
    truncated: bool = False
    """Whether there was more of either."""
    status: int = 0
    """Of the answer, as are the next three."""
    response_headers: dict[str, str] = {}
    response_body: bytes = b""
    response_truncated: bool = False


def about(options: Options, body: bytes | None = None) -> About | None:
    """Of a message with those options; ``body``: where it is told of for the first time. ``None`` of what is no webhook."""
    webhook = options.webhook
    if webhook is None:
        return None
    found = About(
        url=webhook.url,
        method=webhook.method,
        group=webhook.group or "",
        endpoint=webhook.endpoint or "",
        queue=webhook.queue or "",
        schedule=options.schedule or "",
        caller_ip=webhook.caller_ip or "",
        flow_key=options.flow_key or "",
        max_attempts=(options.retry.max_attempts if options.retry else None) or 0,
        retry_delay=webhook.retry_delay or "",
        callback=webhook.callback.url if webhook.callback else "",
        failure_callback=webhook.failure_callback.url if webhook.failure_callback else "",
    )
    return found if body is None else _with_content(found, options, body, webhook.redact)


def _with_content(found: About, options: Options, body: bytes, redact: tuple[str, ...]) -> About:
    shown = redacted(body).encode() if "body" in redact else body
    headers = first_headers(shown_headers(options.headers, redact))
    truncated = len(shown) > MOST_BYTES or len(headers) < len(options.headers)
    return msgspec.structs.replace(found, headers=headers, body=shown[:MOST_BYTES], truncated=truncated)


def answered(told: About, status: int, headers: dict[str, str], body: bytes, *, truncated: bool) -> About:
    """With what a message was answered."""
    first = first_headers(headers)
    return msgspec.structs.replace(
        told,
        status=status,
        response_headers=first,
        response_body=body[:MOST_BYTES],
        response_truncated=truncated or len(body) > MOST_BYTES or len(first) < len(headers),
    )


def first_headers(headers: dict[str, str]) -> dict[str, str]:
    """As many as there is room for in an entry."""
    found, left = dict[str, str](), MOST_HEADER_CHARACTERS
    for name, value in headers.items():
        left -= len(name) + len(value)
        if left < 0:
            break
        found[name] = value
    return found


def redacted(value: bytes) -> str:
    return f"REDACTED:{sha256(value).hexdigest()}"


def shown_headers(headers: Mapping[str, str], redact: tuple[str, ...]) -> dict[str, str]:
    """``redact``: as a message asks for it: ``header`` for all, ``header[name]`` for one."""
    hidden = {part.lower() for part in redact}
    return {
        name: redacted(value.encode()) if hidden & {"header", f"header[{name.lower()}]"} else value
        for name, value in headers.items()
    }
