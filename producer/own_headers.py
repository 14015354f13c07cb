"""Headers that the request of a webhook has of its own, so that no message may say them."""

from __future__ import annotations

OWN = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect",
        "accept-encoding", "webhook-id", "webhook-timestamp", "webhook-signature", "upstash-signature", "upstash-message-id",
        "upstash-retried", "upstash-schedule-id", "content-type",
    }
)  # fmt: skip
"""The media type is kept with the body."""


def is_own(name: str) -> bool:
    return name.lower() in OWN or name.lower().startswith("proxy-")
