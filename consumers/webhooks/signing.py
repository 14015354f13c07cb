"""Signatures of webhooks: Standard Webhooks (https://www.standardwebhooks.com), and the one that QStash's receivers expect
(https://upstash.com/docs/qstash/features/security). Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

import jwt

from shared.signing import SigningKeys

VALID_S = 300
"""How long after it was made the token of ``Upstash-Signature`` is accepted."""


def signature_headers(keys: SigningKeys, message_id: str, url: str, body: bytes, now_ms: int) -> dict[str, str]:
    """``webhook-id``, ``webhook-timestamp`` (s), ``webhook-signature`` by both keys, ``Upstash-Signature`` by the current one.

    A receiver that has only one of the keys, in the middle of a rotation, verifies by that.
    """
    now_s = now_ms // 1000
    content = b"%b.%d.%b" % (message_id.encode(), now_s, body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{_mac(key, content)}" for key in (keys.current, keys.next)),
        "Upstash-Signature": _token(keys.current, url, body, now_s),
    }


def _mac(key: str, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key.encode(), content, hashlib.sha256)).decode()


def _token(key: str, url: str, body: bytes, now_s: int) -> str:
    """A JWT (RFC 7519) of HS256."""
    claims = {
        "iss": "Upstash",
        "sub": url,
        "exp": now_s + VALID_S,
        "nbf": 0,  # as QStash: else receivers whose clock is behind refuse it (that for Python does all the same, by iat)
        "iat": now_s,
        "jti": f"jwt_{secrets.token_hex(16)}",
        "body": base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode(),
    }
    return jwt.encode(claims, key, algorithm="HS256")
