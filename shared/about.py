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


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str = ""
    method: str = ""
    group: str = ""
    endpoint: str = ""
    queue: str = ""
    schedule: str = ""
    caller_ip: str = ""
    flow_key: str = ""
    headers: dict[str, str] = {}
    """With the body, only where the message is told of for the first time."""
    body: bytes = b""
    status: int = 0
    """Of the answer, as are the next two."""
    response_headers: dict[str, str] = {}
    response_body: bytes = b""


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
    )
    if body is None:
        return found
    shown = redacted(body).encode() if "body" in webhook.redact else body[:MOST_BYTES]
    return msgspec.structs.replace(found, headers=shown_headers(options.headers, webhook.redact), body=shown)


def redacted(value: bytes) -> str:
    return f"REDACTED:{sha256(value).hexdigest()}"


def shown_headers(headers: Mapping[str, str], redact: tuple[str, ...]) -> dict[str, str]:
    """``redact``: as a message asks for it: ``header`` for all, ``header[name]`` for one."""
    hidden = {part.lower() for part in redact}
    return {
        name: redacted(value.encode()) if hidden & {"header", f"header[{name.lower()}]"} else value
        for name, value in headers.items()
    }
