"""What arrives is signed: checked by the libraries that receivers use, never by code of this service."""

from __future__ import annotations

import base64

import qstash
from qstash.errors import SignatureError
from standardwebhooks.webhooks import Webhook

from tests.qstash.whole import CURRENT_KEY, NEXT_KEY
from tests.support.receiver import Arrival


def check(arrival: Arrival, current: str = CURRENT_KEY, following: str = NEXT_KEY) -> None:
    """Raises ``SignatureError`` or ``WebhookVerificationError``. The body has to be text, which QStash's receiver takes alone."""
    check_jwt(arrival, current, following)
    Webhook(secret(current)).verify(arrival.body, dict(arrival.headers), json_parse=False)


def secret(key: str) -> str:
    """A signing key in the form in which receivers of Standard Webhooks are given it."""
    return "whsec_" + base64.b64encode(key.encode()).decode()


def check_jwt(arrival: Arrival, current: str, following: str) -> None:
    """Raises ``SignatureError``."""
    signature = arrival.headers["Upstash-Signature"]
    qstash.Receiver(current, following).verify(signature=signature, body=arrival.body.decode(), url=arrival.url)


def believed(arrival: Arrival, current: str) -> bool:
    """Whether a receiver that knows that key alone takes it for signed."""
    try:
        check_jwt(arrival, current, current)
    except SignatureError:
        return False
    return True
