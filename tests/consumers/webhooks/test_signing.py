"""signing.py, verified by the libraries that receivers use."""

from __future__ import annotations

import base64
import hashlib
import time

import jwt
import pytest
from qstash import Receiver
from qstash.errors import SignatureError
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import hmac_data

from consumers.webhooks.signing import signature_headers
from shared.signing import SigningKeys, new_key, secret_of

OLD, CURRENT, NEXT = (f"sig_{letter * 32}" for letter in "ocn")
KEYS = SigningKeys(CURRENT, NEXT)
URL = "https://example.com/hook?a=1"


def _headers(body: bytes, keys: SigningKeys = KEYS) -> dict[str, str]:
    return signature_headers(keys, "webhook-0-1", URL, body, int(time.time() * 1000))


@pytest.mark.parametrize("body", [b"", b'{"a": 1}', "fü".encode()])
@pytest.mark.parametrize("receiver", [(CURRENT, NEXT), (OLD, CURRENT), (CURRENT, OLD), (CURRENT, CURRENT)])
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
    Webhook(secret_of(key)).verify(body, _headers(body), json_parse=False)


def test_standard_webhooks_refuses_what_is_not_ours() -> None:
    """Another key, another body, another id, an old one."""
    headers = _headers(b"{}")
    for key, body, changed in ((OLD, b"{}", {}), (CURRENT, b"[]", {}), (CURRENT, b"{}", {"webhook-id": "webhook-0-2"})):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_of(key)).verify(body, {**headers, **changed})
    old = signature_headers(KEYS, "webhook-0-1", URL, b"{}", int(time.time() * 1000) - 400_000)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret_of(CURRENT)).verify(b"{}", old)


@pytest.mark.parametrize("rotated", ["sender", "receiver"])
def test_a_rotation_loses_no_request_whoever_is_first(rotated: str) -> None:
    """QStash's receivers know both keys, those of Standard Webhooks one: that of the sender's, before or after its rotation."""
    before, after = SigningKeys(CURRENT, NEXT), SigningKeys(NEXT, new_key())
    sender, receiver = (after, before) if rotated == "sender" else (before, SigningKeys(OLD, CURRENT))
    headers = _headers(b"{}", sender)

    Receiver(*receiver).verify(signature=headers["Upstash-Signature"], body="{}", url=URL)
    Webhook(secret_of(NEXT)).verify(b"{}", headers)


def test_a_body_that_is_no_text_is_signed_byte_for_byte() -> None:
    """Receivers' libraries read bodies as UTF-8 and refuse it: what they are made of, and PyJWT, verify its bytes."""
    body = bytes(range(256))
    headers = _headers(body)
    with pytest.raises(UnicodeDecodeError):
        Webhook(secret_of(CURRENT)).verify(body, headers)

    signed = b"%b.%b.%b" % (headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body)
    signatures = [one.removeprefix("v1,") for one in headers["webhook-signature"].split(" ")]
    assert signatures == [base64.b64encode(hmac_data(Webhook(secret_of(key))._whsecret, signed)).decode() for key in KEYS]
    claims = jwt.decode(headers["Upstash-Signature"], CURRENT, algorithms=["HS256"])
    assert base64.urlsafe_b64decode(claims["body"]) == hashlib.sha256(body).digest()


def test_the_token_has_the_header_and_the_claims_that_qstash_documents() -> None:
    """Five minutes; ``nbf`` is 0, as QStash's since September 2024; ``body`` with its padding; no id comes twice."""
    token, other = _headers(b"{}")["Upstash-Signature"], _headers(b"{}")["Upstash-Signature"]
    claims = jwt.decode(token, CURRENT, algorithms=["HS256"])

    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert set(claims) == {"iss", "sub", "exp", "nbf", "iat", "jti", "body"}
    assert (claims["iss"], claims["sub"], claims["nbf"], claims["exp"] - claims["iat"]) == ("Upstash", URL, 0, 300)
    assert claims["body"] == "RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o="
    assert claims["jti"].startswith("jwt_")
    assert claims["jti"] != jwt.decode(other, CURRENT, algorithms=["HS256"])["jti"]


def test_new_keys_are_like_those_of_qstash() -> None:
    """``sig_`` and 32 characters, never the same twice."""
    made = {new_key() for _ in range(100)}

    assert len(made) == 100
    assert {(len(one), one[:4]) for one in made} == {(36, "sig_")}
