"""signing.py, verified by the libraries that receivers use."""

from __future__ import annotations

import time
from contextlib import suppress
from json import JSONDecodeError

import pytest
from qstash import Receiver
from qstash.errors import SignatureError
from standardwebhooks import Webhook, WebhookVerificationError

from consumers.webhooks.signing import signature_headers
from shared.signing import SigningKeys, new_key, secret_of

OLD, CURRENT, NEXT = (f"sig_{letter * 32}" for letter in "ocn")
KEYS = SigningKeys(CURRENT, NEXT)
URL = "https://example.com/hook?a=1"


def _headers(body: bytes, keys: SigningKeys = KEYS) -> dict[str, str]:
    return signature_headers(keys, "webhook-0-1", URL, body, int(time.time() * 1000))


@pytest.mark.parametrize("body", [b"", b'{"a": 1}', "fü".encode()])
@pytest.mark.parametrize("receiver", [(CURRENT, NEXT), (OLD, CURRENT), (CURRENT, OLD)])
def test_receivers_of_qstash_verify_it(body: bytes, receiver: tuple[str, str]) -> None:
    """By the current key, whether the keys were rotated there already or not yet."""
    token = _headers(body)["Upstash-Signature"]

    Receiver(*receiver).verify(signature=token, body=body.decode(), url=URL)


def test_receivers_of_qstash_refuse_what_is_not_ours() -> None:
    """Another key, another body, another URL, a token that is old."""
    token = _headers(b"body")["Upstash-Signature"]
    with pytest.raises(SignatureError):
        Receiver(OLD, new_key()).verify(signature=token, body="body", url=URL)
    with pytest.raises(SignatureError, match="body hash"):
        Receiver(CURRENT, CURRENT).verify(signature=token, body="other", url=URL)
    with pytest.raises(SignatureError, match="subject"):
        Receiver(CURRENT, CURRENT).verify(signature=token, body="body", url=URL + "2")
    old = signature_headers(KEYS, "webhook-0-1", URL, b"body", int(time.time() * 1000) - 301_000)["Upstash-Signature"]
    with pytest.raises(SignatureError, match="expired"):
        Receiver(CURRENT, CURRENT).verify(signature=old, body="body", url=URL)


@pytest.mark.parametrize("body", [b"", b'{"a": 1}', "fü".encode()])
@pytest.mark.parametrize("key", [CURRENT, NEXT])
def test_standard_webhooks_verifies_it_by_either_key(body: bytes, key: str) -> None:
    """So a receiver may change its key at any time between two rotations."""
    with suppress(JSONDecodeError):  # the library reads the body as JSON once the signature holds
        Webhook(secret_of(key)).verify(body, _headers(body))


def test_standard_webhooks_refuses_what_is_not_ours() -> None:
    """Another key, another body, another id, an old one."""
    headers = _headers(b"{}")
    for key, body, changed in ((OLD, b"{}", {}), (CURRENT, b"[]", {}), (CURRENT, b"{}", {"webhook-id": "webhook-0-2"})):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_of(key)).verify(body, {**headers, **changed})
    old = signature_headers(KEYS, "webhook-0-1", URL, b"{}", int(time.time() * 1000) - 400_000)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret_of(CURRENT)).verify(b"{}", old)


def test_new_keys_are_like_those_of_qstash() -> None:
    """``sig_`` and 32 characters, never the same twice."""
    made = {new_key() for _ in range(100)}

    assert len(made) == 100
    assert {(len(one), one[:4]) for one in made} == {(36, "sig_")}
